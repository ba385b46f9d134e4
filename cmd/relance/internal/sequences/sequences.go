// Package sequences brings sequences from files into a workspace, and back, over the gateway.
package sequences

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"google.golang.org/protobuf/proto"

	"github.com/relance/relance/cmd/relance/internal/api"
	"github.com/relance/relance/cmd/relance/internal/plain"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/sequencefile"
)

// ErrDiffers says that a workspace and a file do not hold the same.
var ErrDiffers = errors.New("sequence: the workspace and the file differ")

// Workspace is where sequences are brought to and taken from.
type Workspace struct {
	// Client calls the gateway.
	Client *api.Client
	// Name is "workspaces/{uuid}".
	Name string
	// Out gets what is told to people.
	Out io.Writer
}

// Import says how files are brought in.
type Import struct {
	// DryRun changes nothing and tells what would be.
	DryRun bool
	// Migrate moves running enrollments to the new version.
	Migrate bool
	// Activate makes the sequences active whatever the file says.
	Activate bool
}

// live reads every sequence of the workspace, by its name.
func (w Workspace) live(ctx context.Context) (map[string]*followupsv1.Sequence, []*followupsv1.Sequence, error) {
	byName := map[string]*followupsv1.Sequence{}
	var all []*followupsv1.Sequence
	for token := ""; ; {
		var page followupsv1.ListSequencesResponse
		query := url.Values{"pageSize": {"500"}, "pageToken": {token}}
		if err := w.Client.Get(ctx, "/v1/"+w.Name+"/sequences", query, &page); err != nil {
			return nil, nil, fmt.Errorf("list sequences: %w", err)
		}
		for _, seq := range page.GetSequences() {
			byName[seq.GetDisplayName()] = seq
			all = append(all, seq)
		}
		if token = page.GetNextPageToken(); token == "" {
			return byName, all, nil
		}
	}
}

// Find gives the resource name of the sequence with a display name.
func (w Workspace) Find(ctx context.Context, displayName string) (string, error) {
	byName, _, err := w.live(ctx)
	if err != nil {
		return "", err
	}
	if byName[displayName] == nil {
		return "", fmt.Errorf("%s has no sequence %q", w.Name, displayName)
	}
	return byName[displayName].GetName(), nil
}

// Import brings the sequences of a file in: new names are created, known ones updated, equal ones left alone. Everything
// is checked before anything is changed.
func (w Workspace) Import(ctx context.Context, file []byte, how Import) error {
	sequences, err := sequencefile.Parse(file)
	if err != nil {
		return err
	}
	if err := w.check(ctx, sequences, how); err != nil {
		return err
	}
	live, _, err := w.live(ctx)
	if err != nil {
		return err
	}
	for _, seq := range sequences {
		if err := w.bring(ctx, seq, live[seq.GetDisplayName()], how); err != nil {
			return fmt.Errorf("%s: %w", seq.GetDisplayName(), err)
		}
	}
	return nil
}

// check asks for everything that is wrong with the sequences as they stand in this workspace.
func (w Workspace) check(ctx context.Context, sequences []*followupsv1.Sequence, how Import) error {
	refused, seen := 0, map[string]bool{}
	for _, seq := range sequences {
		if seen[seq.GetDisplayName()] {
			return fmt.Errorf("the file has %q twice", seq.GetDisplayName())
		}
		seen[seq.GetDisplayName()] = true
		seq.Active = seq.GetActive() || how.Activate
		var answer followupsv1.ValidateSequenceResponse
		if err := w.Client.Post(ctx, "/v1/"+w.Name+"/sequences:validate", seq, &answer); err != nil {
			return fmt.Errorf("%s: %w", seq.GetDisplayName(), err)
		}
		for _, v := range answer.GetViolations() {
			word := "before it can be active"
			if seq.GetActive() || v.GetCode() == "invalid_value" {
				word = "refused"
				refused++
			}
			w.tell("%s: %s: %s: %s (%s)\n  → %s\n", seq.GetDisplayName(), word, v.GetField(), v.GetDescription(), v.GetCode(), v.GetRemedy())
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d problems; nothing was changed", refused)
	}
	return nil
}

func (w Workspace) bring(ctx context.Context, seq, live *followupsv1.Sequence, how Import) error {
	name := seq.GetDisplayName()
	if live == nil {
		if how.DryRun {
			w.tell("%s: would be created, %d steps\n", name, len(seq.GetSteps()))
			return nil
		}
		var made followupsv1.CreateSequenceResponse
		if err := w.Client.Post(ctx, "/v1/"+w.Name+"/sequences", seq, &made); err != nil {
			return err
		}
		w.tell("%s: created, %s\n", name, made.GetSequence().GetName())
		return nil
	}
	difference, err := compare(live, seq)
	if err != nil {
		return err
	}
	if difference == "" && !how.Migrate {
		w.tell("%s: unchanged, version %d\n", name, live.GetVersion())
		return nil
	}
	query := url.Values{
		"updateMask":         {"description,active,trigger,trigger_options,refusal_rules,continue_on_reply,steps"},
		"migrateEnrollments": {fmt.Sprint(how.Migrate)}, "validateOnly": {fmt.Sprint(how.DryRun)},
	}
	var changed followupsv1.UpdateSequenceResponse
	if err := w.Client.Patch(ctx, "/v1/"+live.GetName(), query, seq, &changed); err != nil {
		return err
	}
	done := "updated"
	if how.DryRun {
		done = "would be updated"
		w.show(difference)
	}
	w.tell("%s: %s, version %d → %d\n", name, done, live.GetVersion(), changed.GetSequence().GetVersion())
	w.tellMoves(changed.GetMoves(), how.DryRun)
	return nil
}

func (w Workspace) tellMoves(moves []*followupsv1.EnrollmentMove, dry bool) {
	verb := "moved"
	if dry {
		verb = "would move"
	}
	for _, m := range moves {
		to := fmt.Sprintf("to step %s", m.GetToStepId())
		if m.GetToStepId() == "" {
			to = "to the end"
		}
		if m.GetHeldBackReason() != "" {
			w.tell("  %d at step %s of version %d: held back (%s); import again when they are past it\n",
				m.GetCount(), m.GetFromStepId(), m.GetFromVersion(), m.GetHeldBackReason())
			continue
		}
		w.tell("  %d at step %s of version %d: %s %s\n", m.GetCount(), m.GetFromStepId(), m.GetFromVersion(), verb, to)
	}
}

// Export writes the sequences with these names, or all.
func (w Workspace) Export(ctx context.Context, names []string) error {
	byName, all, err := w.live(ctx)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		all = nil
	}
	for _, name := range names {
		seq, ok := byName[name]
		if !ok {
			return fmt.Errorf("the workspace has no sequence %q", name)
		}
		all = append(all, seq)
	}
	text, err := sequencefile.Format(all...)
	if err != nil {
		return err
	}
	_, err = w.Out.Write(text)
	return err
}

// Diff prints how the sequences of a file differ from the workspace's, and answers ErrDiffers when they do.
func (w Workspace) Diff(ctx context.Context, file []byte) error {
	sequences, err := sequencefile.Parse(file)
	if err != nil {
		return err
	}
	live, _, err := w.live(ctx)
	if err != nil {
		return err
	}
	differs := false
	for _, seq := range sequences {
		difference, err := compare(live[seq.GetDisplayName()], seq)
		if err != nil {
			return err
		}
		differs = differs || difference != ""
		w.show(difference)
	}
	if differs {
		return ErrDiffers
	}
	return nil
}

// compare is the difference of two sequences as they are written, empty for none. A nil one is not there.
func compare(live, file *followupsv1.Sequence) (string, error) {
	texts := make([][]byte, 2)
	for i, seq := range []*followupsv1.Sequence{live, file} {
		if seq == nil {
			continue
		}
		var err error
		if texts[i], err = sequencefile.Format(proto.CloneOf(seq)); err != nil {
			return "", err
		}
	}
	old := "workspace: " + file.GetDisplayName()
	if live == nil {
		old = "/dev/null"
	}
	text := string(diff.Diff(old, texts[0], "file: "+file.GetDisplayName(), texts[1]))
	_, text, _ = strings.Cut(text, "\n") // the line "diff a b"
	return text, nil
}

// show prints what differs, line by line.
func (w Workspace) show(difference string) { _, _ = io.WriteString(w.Out, plain.Lines(difference)) }

func (w Workspace) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(w.Out, format, plain.Args(args...)...)
}
