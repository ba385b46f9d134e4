package pgserver

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel stop PostgreSQL (fast shutdown) when this process dies, even by SIGKILL.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGINT }
