package webhook

// text steps over a string, and reports whether it is one.
func (w *walk) text() bool {
	raw := w.raw
	for i := w.at + 1; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			w.at = i + 1
			return true
		case c == '\\':
			if w.at = i + 1; !w.escape() {
				return false
			}
			i = w.at
		case c < ' ':
			return false
		}
	}
	return false
}

// escape stands at what follows a backslash, and steps to its last byte.
func (w *walk) escape() bool {
	switch w.next() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if w.at++; !hexDigit(w.next()) {
				return false
			}
		}
		return true
	}
	return false
}

func hexDigit(c byte) bool {
	return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (w *walk) word(word string) bool {
	if len(w.raw)-w.at < len(word) || string(w.raw[w.at:w.at+len(word)]) != word {
		return false
	}
	w.at += len(word)
	return true
}

// number steps over a number: a sign, digits without a leading zero, a fraction, an exponent.
func (w *walk) number() bool {
	w.take('-')
	if !w.take('0') && !w.digits() {
		return false
	}
	if w.take('.') && !w.digits() {
		return false
	}
	if w.take('e') || w.take('E') {
		if !w.take('+') {
			w.take('-')
		}
		return w.digits()
	}
	return true
}

// digits steps over one digit or more.
func (w *walk) digits() bool {
	begin := w.at
	for digit(w.next()) {
		w.at++
	}
	return w.at > begin
}
