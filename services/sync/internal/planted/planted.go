// Package planted holds the bugs that the proofs must find (docs/reliability.md, "teeth"). Built without the tag
// "planted", On is false for all of them and the compiler leaves nothing behind.
package planted

// Bug is a mistake that a send protocol can have.
type Bug string

// The bugs, each the opposite of a rule of docs/send-protocol.md.
const (
	// NoIntent calls the provider before the claim is committed.
	NoIntent Bug = "no_intent"
	// RetryUnknown takes an unknown outcome for a failure and sends again.
	RetryUnknown Bug = "retry_unknown"
	// NoSettle sends again after the first look that finds nothing.
	NoSettle Bug = "no_settle"
	// FailedReadAbsent takes a list that could not be read for one without the message.
	FailedReadAbsent Bug = "failed_read_absent"
	// NoCheck leaves out the check between the claim and the call.
	NoCheck Bug = "no_check"
	// NoOneLive lets several sends to a lead be under way at once.
	NoOneLive Bug = "no_one_live"
	// RetryRefused takes a permanent refusal, such as do-not-disturb, for a failure and sends again.
	RetryRefused Bug = "retry_refused"
)

// Bugs lists them.
func Bugs() []Bug {
	return []Bug{NoIntent, RetryUnknown, NoSettle, FailedReadAbsent, NoCheck, NoOneLive, RetryRefused}
}
