package icalendar

import "bytes"

// Bounds of what the library's parser takes: it copies the line that is left for every parameter, and the error of a component
// into that of the one around it, so that two megabytes could keep it busy for hours.
const (
	maxDepth = 16
	// maxCopied is how many bytes may be copied for parameters; a feed of the largest size with ten on every line stays below.
	maxCopied = 64 << 20
)

// affordable refuses a feed that no calendar program writes and that would cost more to read than it may.
func affordable(feed []byte) error {
	depth, copied := 0, 0
	for line := range unfolded(feed) {
		name, parameters := head(line)
		switch {
		case bytes.EqualFold(name, []byte("BEGIN")):
			depth++
		case bytes.EqualFold(name, []byte("END")):
			depth--
		}
		if copied += parameters * len(line); depth > maxDepth || copied > maxCopied {
			return errTooMuch
		}
	}
	return nil
}

// unfolded gives the content lines of a feed: one that begins with white space goes on with the one before.
func unfolded(feed []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		var line []byte
		for part := range bytes.SplitSeq(feed, []byte("\n")) {
			part = bytes.TrimSuffix(part, []byte("\r"))
			if len(line) > 0 && len(part) > 0 && (part[0] == ' ' || part[0] == '\t') {
				line = append(line, part[1:]...)
				continue
			}
			if len(line) > 0 && !yield(line) {
				return
			}
			line = bytes.Clone(part)
		}
		if len(line) > 0 {
			yield(line)
		}
	}
}

// head is a line's name, and how many values its parameters have.
func head(line []byte) (name []byte, parameters int) {
	quoted, escaped := false, false
	for i, c := range line {
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true // as the library reads values
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ':':
			if name == nil {
				name = line[:i]
			}
			return name, parameters
		case c == ';', c == ',':
			if name == nil {
				name = line[:i]
			}
			parameters++
		}
	}
	return name, parameters
}
