package pgserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/pgserver"
)

// victimEnv makes this test binary start a cluster, print its postmaster's pid and wait to be killed.
const victimEnv = "RELANCE_PGSERVER_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

func victim(dir string) {
	keep := filepath.Base(dir) != "scratch"
	if _, err := pgserver.Start(context.Background(), pgserver.Config{Dir: dir, Keep: keep}); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	pid, _, _ := strings.Cut(readFile(filepath.Join(dir, "data", "postmaster.pid")), "\n")
	fmt.Println(pid)
	select {}
}

func readFile(path string) string {
	body, _ := os.ReadFile(path)
	return string(body)
}

// baseDir is a directory whose parents PostgreSQL's user can enter; t.TempDir is 0700 for root.
func baseDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "relance-pgserver-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func query(t *testing.T, dsn, sql string) (string, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var got string
	err = conn.QueryRow(t.Context(), sql).Scan(&got)
	return got, err
}

func TestKeptClusterIsUsedAgain(t *testing.T) {
	t.Parallel()
	dir := baseDir(t)
	for start := range 2 {
		s, err := pgserver.Start(t.Context(), pgserver.Config{Dir: dir, Keep: true, Durable: true})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // again: nothing to do
			if err := s.CreateDatabase(t.Context(), "kept"); err != nil {
				t.Fatal(err)
			}
		}
		sql := `CREATE TABLE note AS SELECT 'here' AS body; `
		if start == 0 {
			conn, err := pgx.Connect(t.Context(), s.DSN("kept"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close(t.Context())
		}
		if got, err := query(t, s.DSN("kept"), `SELECT body FROM note`); err != nil || got != "here" {
			t.Errorf("start %d: row = %q, %v", start, got, err)
		}
		for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
			if got, err := query(t, s.DSN("kept"), `SHOW `+setting); err != nil || got != "on" {
				t.Errorf("durable cluster: %s = %q, %v", setting, got, err)
			}
		}
		if got, err := query(t, s.DSN("kept"), `SHOW listen_addresses`); err != nil || got != "" {
			t.Errorf("it listens on %q, %v; want no network", got, err)
		}
		s.Stop()
		s.Stop() // harmless
	}
}

func TestStopRemovesWhatIsNotKept(t *testing.T) {
	t.Parallel()
	s, err := pgserver.Start(t.Context(), pgserver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := query(t, s.DSN("postgres"), `SHOW fsync`); err != nil || got != "off" {
		t.Errorf("fsync = %q, %v; want off without Durable", got, err)
	}
	s.Stop()
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory after Stop: %v, want it gone", err)
	}
}

// killedProgram runs a cluster in dir from another process, kills that with SIGKILL and gives the server's pid.
func killedProgram(t *testing.T, dir string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || syscall.Kill(pid, 0) != nil {
		t.Fatalf("no running cluster: %q, %v", line, err)
	}
	_ = cmd.Process.Kill() // kill -9: no code of ours runs
	_ = cmd.Wait()
	return pid
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func TestNothingIsLeftOfAKilledProgram(t *testing.T) {
	t.Parallel()
	base := baseDir(t)
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "scratch")
	pid := killedProgram(t, dir)
	eventually(t, "the server outlives its program", func() bool { return syscall.Kill(pid, 0) != nil })
	eventually(t, "the directory is left behind", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestClusterComesBackAfterItsProgramWasKilled(t *testing.T) {
	t.Parallel()
	dir := baseDir(t)
	pid := killedProgram(t, dir)
	// At once, while the old server may still be going down.
	s, err := pgserver.Start(t.Context(), pgserver.Config{Dir: dir, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	gone := func() bool {
		return !strings.HasPrefix(readFile(filepath.Join(dir, "data", "postmaster.pid")), strconv.Itoa(pid)+"\n")
	}
	eventually(t, "the old server still holds the directory", gone)
	if _, err := query(t, s.DSN("postgres"), `SELECT 'up'`); err != nil {
		t.Error(err)
	}
}

// A caller may keep no more than the DSN, as pgtest does: the collector must not end the server.
func TestClusterOutlivesItsHandle(t *testing.T) {
	dir := baseDir(t)
	dsn := func() string {
		s, err := pgserver.Start(t.Context(), pgserver.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s.DSN("postgres")
	}()
	pid, _, _ := strings.Cut(readFile(filepath.Join(dir, "data", "postmaster.pid")), "\n")
	for range 10 {
		runtime.GC()
		if _, err := query(t, dsn, `SELECT pg_sleep(0.05)::text`); err != nil {
			t.Fatalf("the server ended: %v", err)
		}
	}
	if n, err := strconv.Atoi(pid); err == nil {
		_ = syscall.Kill(n, syscall.SIGINT)
	}
}

func TestConfiguredBinariesMustBeThere(t *testing.T) {
	t.Setenv("RELANCE_POSTGRES_BIN", t.TempDir())
	_, err := pgserver.Start(t.Context(), pgserver.Config{})
	if err == nil || !strings.Contains(err.Error(), "RELANCE_POSTGRES_BIN") {
		t.Errorf("Start = %v, want it to name RELANCE_POSTGRES_BIN", err)
	}
}

// TestOnlyWhatWasMadeIsRemoved: whatever a caller says about keeping, a directory that was there before keeps what it held.
func TestOnlyWhatWasMadeIsRemoved(t *testing.T) {
	t.Parallel()
	there := baseDir(t)
	note := filepath.Join(there, "note")
	if err := os.WriteFile(note, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	// One that fails before it runs, and one that runs.
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pgserver.Start(cancelled, pgserver.Config{Dir: there}); err == nil {
		t.Fatal("control: it started")
	}
	s, err := pgserver.Start(t.Context(), pgserver.Config{Dir: there})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if readFile(note) != "mine" {
		t.Error("a directory that was there before is gone")
	}
	if _, err := os.Stat(filepath.Join(there, "data")); err == nil {
		t.Error("the cluster is left in it")
	}
	fresh := there + "-fresh"
	if s, err = pgserver.Start(t.Context(), pgserver.Config{Dir: fresh}); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := os.Stat(fresh); err == nil {
		t.Error("control: what Start made is left")
	}
}
