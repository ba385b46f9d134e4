// Package crashpoint lets a proof end or stop a process exactly where it names (docs/reliability.md). Services name their own
// points. Built without the tag "crashpoints" it does nothing.
package crashpoint

// Variable names the point and what happens there: "C4:1:KILL" is SIGKILL at the first time C4 is passed, "C5:1:STOP" is
// SIGSTOP, after which whoever sent the process there lets it go on with SIGCONT. Other values end the process at start.
const Variable = "RELANCE_CRASH"

// Point is a place in the code.
type Point string
