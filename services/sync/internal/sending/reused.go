package sending

import "strings"

// ReusedError says that a request id was used with other content.
type ReusedError struct {
	// Fields are the parts that differ.
	Fields []string
}

// Error names the parts.
func (e *ReusedError) Error() string {
	return "request id used with other " + strings.Join(e.Fields, ",")
}
