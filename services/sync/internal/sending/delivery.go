package sending

import "strings"

// Delivery is what the provider reports about a message it accepted.
type Delivery struct {
	// Status is the provider's word, lower case, empty when it says nothing that is known.
	Status string
	// Rank orders statuses; a report with a lower or equal rank than the one stored changes nothing.
	Rank int
	// To is the state it leads to by T15, empty for none.
	To State
}

// ReadDelivery understands a provider's status. Unknown words have rank 0 and change nothing.
func ReadDelivery(status string) Delivery {
	status = strings.ToLower(strings.TrimSpace(status))
	for _, d := range []Delivery{
		{"scheduled", 1, ""},
		{"queued", 2, ""},
		{"pending", 2, ""},
		{"sent", 3, ""},
		{"delivered", 4, Delivered},
		{"opened", 5, Delivered},
		{"read", 5, Delivered},
		{"clicked", 6, Delivered},
		{"undelivered", 7, FailedAfterAccept},
		{"failed", 7, FailedAfterAccept},
		{"opt_out", 7, FailedAfterAccept},
	} {
		if d.Status == status {
			return d
		}
	}
	return Delivery{}
}

// Raise tells what a report changes: ranks only rise, and a message that was delivered does not fail any more.
func Raise(state State, stored, reported string) (Delivery, bool) {
	next := ReadDelivery(reported)
	if next.Rank <= ReadDelivery(stored).Rank || (state == Delivered && next.To == FailedAfterAccept) || state == FailedAfterAccept {
		return Delivery{}, false
	}
	if next.To == state {
		next.To = ""
	}
	return next, state == Accepted || state == Delivered
}
