package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"

	"github.com/relance/relance/platform/internal/echo"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
)

func files(dir, service string) rpc.IdentityFiles {
	return rpc.IdentityFiles{
		Cert: filepath.Join(dir, service+".pem"), Key: filepath.Join(dir, service+".key"), CA: filepath.Join(dir, "ca.pem"),
	}
}

func load(t *testing.T, ca *rpc.CA, dir, service string) *rpc.Identity {
	t.Helper()
	if err := ca.WriteFiles(dir, service); err != nil {
		t.Fatal(err)
	}
	identity, err := rpc.LoadIdentity(files(dir, service))
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestFileIdentityFollowsItsFiles(t *testing.T) {
	t.Parallel()
	dir, serverDir, old := t.TempDir(), t.TempDir(), newCA(t)
	gateway := load(t, old, dir, "gateway")
	server := load(t, old, serverDir, "sync")
	if info, err := os.Stat(files(dir, "gateway").Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	service := &echo.Server{OnSay: func(ctx context.Context, _ string) (string, error) {
		who, _ := principal.FromContext(ctx)
		return who.String(), nil
	}}
	r := serve(t, service, func(cfg *rpc.ServerConfig) { cfg.Identity = server })
	signer := principal.NewSigner(gateway.Signer(), nil)
	conn := r.dial(t, gateway, "sync")
	ask := func(conn *grpc.ClientConn) error {
		token, err := signer.Token(principal.Principal{Kind: principal.KindAdmin}, "sync")
		if err != nil {
			t.Fatal(err)
		}
		got, err := echo.Call(principal.OutgoingToken(t.Context(), token), conn, "")
		if err == nil && got != "system:admin" {
			err = fmt.Errorf("the caller was %s", got)
		}
		return err
	}
	if err := ask(conn); err != nil {
		t.Fatal(err)
	}
	// The whole trust domain moves to another CA, both sides' files are replaced, nobody restarts.
	fresh := newCA(t)
	if err := errors.Join(fresh.WriteFiles(dir, "gateway"), fresh.WriteFiles(serverDir, "sync")); err != nil {
		t.Fatal(err)
	}
	if err := ask(r.dial(t, gateway, "sync")); err != nil {
		t.Errorf("a new connection with the new files: %v", err)
	}
	// The old connection was opened with the old key, which signs no more: it was hung up on and opens anew.
	eventually(t, func() error { return ask(conn) })
	if _, err := echo.Call(t.Context(), r.dial(t, issue(t, old, "gateway"), "sync"), ""); err == nil {
		t.Error("the old CA is still trusted")
	}
}

func TestBadFilesLeaveTheIdentityInUse(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), newCA(t)
	identity := load(t, ca, dir, "gateway")
	before := fmt.Sprint(identity.Signer().Public())
	breakages := map[string]func() error{
		"half written": func() error { return os.WriteFile(files(dir, "gateway").Cert, []byte("-----BEGIN"), 0o600) },
		"other CA":     func() error { return newCA(t).WriteFiles(dir, "other") },
		"another name": func() error {
			if err := ca.WriteFiles(dir, "sync"); err != nil {
				return err
			}
			from, to := files(dir, "sync"), files(dir, "gateway")
			return errors.Join(os.Rename(from.Cert, to.Cert), os.Rename(from.Key, to.Key))
		},
		"gone": func() error { return os.Remove(files(dir, "gateway").Key) },
	}
	for name, breakIt := range breakages {
		restore := snapshot(t, files(dir, "gateway"))
		if err := breakIt(); err != nil {
			t.Fatal(err)
		}
		if err := identity.Reload(); err == nil {
			t.Errorf("%s: Reload is content", name)
		}
		if fmt.Sprint(identity.Signer().Public()) != before {
			t.Errorf("%s: the key changed", name)
		}
		restore()
		if err := identity.Reload(); err != nil {
			t.Errorf("%s, then put right: %v", name, err)
		}
	}
	if err := ca.WriteFiles(dir, "gateway"); err != nil {
		t.Fatal(err)
	}
	if err := identity.Reload(); err != nil || fmt.Sprint(identity.Signer().Public()) == before {
		t.Errorf("a good set after bad ones: %v", err)
	}
}

func TestNamesAreChecked(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	for _, name := range []string{"", "Sync", "a/b", "../x", "a b"} {
		if _, err := ca.Issue(name); err == nil {
			t.Errorf("Issue(%q) gave an identity", name)
		}
		if err := ca.WriteFiles(t.TempDir(), name); err == nil {
			t.Errorf("WriteFiles(%q) wrote one", name)
		}
	}
	if _, err := rpc.NewCA("not a domain"); err == nil {
		t.Error("NewCA took a bad trust domain")
	}
}

// snapshot keeps the files' content for the function that it returns to write back.
func snapshot(t *testing.T, f rpc.IdentityFiles) func() {
	t.Helper()
	kept := map[string][]byte{}
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kept[path] = content
	}
	return func() {
		for path, content := range kept {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
