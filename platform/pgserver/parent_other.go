//go:build unix && !linux

package pgserver

import "os/exec"

// endWithParent does nothing where the kernel has no parent-death signal; Stop is what ends the server there.
func endWithParent(*exec.Cmd) {}
