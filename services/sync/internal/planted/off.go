//go:build !planted

package planted

// On is false in this build.
func On(Bug) bool { return false }
