//go:build planted

package planted

import "os"

// Variable names the bug that a test build has.
const Variable = "RELANCE_PLANTED"

var chosen = Bug(os.Getenv(Variable))

// On reports whether the bug is planted.
func On(b Bug) bool { return b == chosen }
