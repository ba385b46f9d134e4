package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// documented is one row of a table of docs/errors.md.
type documented struct{ code, http, caller string }

// errorsPage is docs/errors.md: the rows of each section, and how often each reason has a heading.
type errorsPage struct {
	tables   map[string]map[string]documented
	headings map[string]int
}

var (
	sectionLine = regexp.MustCompile(`^## (\w+)`)
	headingLine = regexp.MustCompile(`^### ([A-Z_]+)$`)
	reasonCell  = regexp.MustCompile("^\\[`([A-Z_]+)`\\]\\(#([a-z_]+)\\)$")
	// cellBorder is a bar that is not escaped.
	cellBorder = regexp.MustCompile(`(?:^|[^\\])\|`)
)

func TestErrorsPageListsEveryReason(t *testing.T) {
	t.Parallel()
	page := readErrorsPage(t)
	enums := map[string]protoreflect.EnumDescriptor{
		"sync":         syncv1.ErrorReason(0).Descriptor(),
		"followups":    followupsv1.ErrorReason(0).Descriptor(),
		"availability": availabilityv1.ErrorReason(0).Descriptor(),
	}
	for section, enum := range enums {
		same(t, section, rowsOf(page, section), reasonsOf(enum))
	}
	same(t, "gateway", rowsOf(page, "gateway"), constantsOf(t, "gateway/internal/edge"))
	same(t, "everywhere", rowsOf(page, "everywhere"), constantsOf(t, "platform/apierr"))
}

func TestErrorsPageRowsAgreeWithTheContract(t *testing.T) {
	t.Parallel()
	page := readErrorsPage(t)
	for _, section := range []string{"sync", "followups", "availability"} {
		comments := commentsOf(t, section)
		for reason, row := range page.tables[section] {
			if !strings.HasPrefix(comments[reason], row.code) {
				t.Errorf("%s %s: the page says %s, errors.proto %q", section, reason, row.code, comments[reason])
			}
		}
	}
	for section, rows := range page.tables {
		for reason, row := range rows {
			if want := statusOf(section, reason, row.code); row.http != want {
				t.Errorf("%s %s: %s is HTTP %s, the page says %s", section, reason, row.code, want, row.http)
			}
			if row.caller == "" {
				t.Errorf("%s %s: nothing tells the caller what to do", section, reason)
			}
		}
	}
}

// TestErrorsPageAnchors: Help links end in #<reason in lower case>, so each reason needs one heading and only one, since
// a second would get another anchor.
func TestErrorsPageAnchors(t *testing.T) {
	t.Parallel()
	page := readErrorsPage(t)
	rows := map[string]bool{}
	for _, section := range page.tables {
		for reason := range section {
			rows[reason] = true
			if page.headings[reason] != 1 {
				t.Errorf("%s has %d headings, want 1", reason, page.headings[reason])
			}
		}
	}
	same(t, "headings", slices.Sorted(maps.Keys(page.headings)), slices.Sorted(maps.Keys(rows)))
}

func readErrorsPage(t *testing.T) errorsPage {
	t.Helper()
	page := errorsPage{tables: map[string]map[string]documented{}, headings: map[string]int{}}
	section := ""
	for line := range strings.Lines(readRepo(t, "docs/errors.md")) {
		line = strings.TrimSpace(line)
		if m := sectionLine.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		if m := headingLine.FindStringSubmatch(line); m != nil {
			page.headings[m[1]]++
		}
		cells := cellsOf(line)
		if len(cells) != 6 {
			continue
		}
		m := reasonCell.FindStringSubmatch(cells[0])
		if m == nil {
			continue
		}
		if m[2] != strings.ToLower(m[1]) {
			t.Errorf("%s links to #%s", m[1], m[2])
		}
		if page.tables[section] == nil {
			page.tables[section] = map[string]documented{}
		}
		if _, twice := page.tables[section][m[1]]; twice {
			t.Errorf("%s has two rows for %s", section, m[1])
		}
		page.tables[section][m[1]] = documented{code: cells[1], http: cells[2], caller: cells[5]}
	}
	return page
}

// cellsOf splits a table line; nil for other lines.
func cellsOf(line string) []string {
	if !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") {
		return nil
	}
	var cells []string
	borders := cellBorder.FindAllStringIndex(line, -1)
	for i := 1; i < len(borders); i++ {
		cells = append(cells, strings.TrimSpace(line[borders[i-1][1]:borders[i][1]-1]))
	}
	return cells
}

func rowsOf(page errorsPage, section string) []string {
	return slices.Sorted(maps.Keys(page.tables[section]))
}

func reasonsOf(enum protoreflect.EnumDescriptor) []string {
	var out []string
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 {
			out = append(out, strings.TrimPrefix(string(value.Name()), "ERROR_REASON_"))
		}
	}
	slices.Sort(out)
	return out
}

// constantsOf reads the values of the constants named Reason… of a package.
func constantsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(repoPath(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	var out []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") || len(spec.Values) != 1 {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				value, _ := strconv.Unquote(literal.Value)
				out = append(out, value)
			}
			return true
		})
	}
	slices.Sort(out)
	return out
}

// commentsOf reads the comment over each reason of errors.proto, as one line. It opens with the gRPC code.
func commentsOf(t *testing.T, service string) map[string]string {
	t.Helper()
	out := map[string]string{}
	var comment []string
	for line := range strings.Lines(readRepo(t, "proto/relance/"+service+"/v1/errors.proto")) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "//"); ok {
			comment = append(comment, strings.TrimSpace(text))
			continue
		}
		if name, ok := strings.CutPrefix(line, "ERROR_REASON_"); ok {
			reason, _, _ := strings.Cut(name, " ")
			out[reason] = strings.Join(comment, " ")
		}
		comment = nil
	}
	return out
}

// statusOf is the HTTP status of a code, by the table of grpc-gateway and the gateway's own two exceptions.
func statusOf(section, reason, code string) string {
	if section == "gateway" {
		switch reason {
		case "BODY_TOO_LARGE":
			return "413"
		case "METHOD_NOT_ALLOWED":
			return "405"
		}
	}
	return map[string]string{
		"InvalidArgument": "400", "FailedPrecondition": "400", "OutOfRange": "400", "Unauthenticated": "401", "PermissionDenied": "403",
		"NotFound": "404", "AlreadyExists": "409", "Aborted": "409", "ResourceExhausted": "429", "Unimplemented": "501",
		"Unavailable": "503",
	}[code]
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	for _, reason := range want {
		if !slices.Contains(got, reason) {
			t.Errorf("%s: docs/errors.md lacks %s", what, reason)
		}
	}
	for _, reason := range got {
		if !slices.Contains(want, reason) {
			t.Errorf("%s: docs/errors.md has %s, which does not exist", what, reason)
		}
	}
}

func readRepo(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(repoPath(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// repoPath is a path below the root of the repository; tests run in the directory of their package.
func repoPath(parts ...string) string {
	return filepath.Join(append([]string{".."}, parts...)...)
}
