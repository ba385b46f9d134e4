package pgserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// link makes the symlinks that the package lists, since its own install script is not run, and the programs executable.
func link(native string) error {
	listed, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("link postgres: %w", err)
	}
	var links []struct {
		Source string `json:"source"`
		Target string `json:"target"`
	}
	if len(listed) > 0 {
		if err := json.Unmarshal(listed, &links); err != nil {
			return fmt.Errorf("link postgres: %w", err)
		}
	}
	root := filepath.Dir(native)
	for _, l := range links {
		source, target := filepath.Join(root, filepath.FromSlash(l.Source)), filepath.Join(root, filepath.FromSlash(l.Target))
		relative, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("link postgres: bad target %q", l.Target)
		}
		if err := os.Symlink(relative, target); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("link postgres: %w", err)
		}
	}
	programs, _ := filepath.Glob(filepath.Join(native, "bin", "*"))
	for _, program := range programs {
		if err := os.Chmod(program, 0o755); err != nil {
			return fmt.Errorf("link postgres: %w", err)
		}
	}
	return nil
}
