package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

// FollowUpsProcess makes a replica of `relance serve followups` that asks a replica of sync, and starts it. It runs nothing by
// itself, and there is no availability service. Extra environment wins.
func (l *Lab) FollowUpsProcess(ctx context.Context, syncTarget string, env ...string) (*Replica, error) {
	if err := l.CA.WriteFiles(l.dir, "followups"); err != nil {
		return nil, fmt.Errorf("start followups: %w", err)
	}
	r, err := l.reserve(ctx, env)
	if err != nil {
		return nil, err
	}
	r.command = func(extra []string) *exec.Cmd {
		//nolint:noctx // a replica is ended by a signal of the proof, never by a context
		cmd := exec.Command(l.opts.Binary, "serve", "followups", "--log-level=warn")
		cmd.Env = append(CleanEnv(), "RELANCE_TLS_CERT="+filepath.Join(l.dir, "followups.pem"),
			"RELANCE_TLS_KEY="+filepath.Join(l.dir, "followups.key"), "RELANCE_TLS_CA="+filepath.Join(l.dir, "ca.pem"),
			"RELANCE_FOLLOWUPS_LISTEN="+r.Target, "RELANCE_FOLLOWUPS_DATABASE_URL="+l.DSN("followups"),
			"RELANCE_FOLLOWUPS_SYNC_TARGET="+syncTarget, "RELANCE_FOLLOWUPS_AVAILABILITY_TARGET=127.0.0.1:1",
			"RELANCE_FOLLOWUPS_SCHEDULER_INTERVAL=0s", "RELANCE_TRACE_RATIO=0")
		cmd.Env = append(append(cmd.Env, r.env...), extra...)
		return cmd
	}
	return r, r.Start()
}

// runTimeout bounds a call: the longest budget of a run, and its answer.
const runTimeout = 90 * time.Second

// Runs is a client of a replica of followups that acts as the administrator. Close ends it.
func (l *Lab) Runs(target string) (followupsv1.FollowUpsServiceClient, *grpc.ClientConn, error) {
	identity, err := l.CA.Issue("gateway")
	if err != nil {
		return nil, nil, fmt.Errorf("make client of followups: %w", err)
	}
	signer := principal.NewSigner(identity.Signer(), time.Now)
	mint := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		token, err := signer.Token(principal.Principal{Kind: principal.KindAdmin}, "followups")
		if err != nil {
			return err
		}
		return invoke(principal.OutgoingToken(ctx, token), method, req, reply, cc, opts...)
	}
	conn, err := rpc.Dial(rpc.ClientConfig{
		Target: target, Service: "followups", Identity: identity, DefaultTimeout: runTimeout,
		Options: []grpc.DialOption{grpc.WithChainUnaryInterceptor(mint)},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make client of followups: %w", err)
	}
	return followupsv1.NewFollowUpsServiceClient(conn), conn, nil
}

// Sequence makes a sequence of texts that are due at once, one after the other, and lets the workspace send at any hour. It
// gives its id.
func (l *Lab) Sequence(ctx context.Context, api followupsv1.FollowUpsServiceClient, t *Tenant, texts ...string) (string, error) {
	open := &followupsv1.Settings{WorkStart: "00:00", WorkEnd: "23:59"}
	for day := range 7 {
		open.WorkDays = append(open.WorkDays, followupsv1.Weekday(day+1))
	}
	_, err := api.UpdateSettings(ctx, &followupsv1.UpdateSettingsRequest{
		Parent: t.Name, Settings: open, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"work_start", "work_end", "work_days"}},
	})
	if err != nil {
		return "", fmt.Errorf("set settings: %w", err)
	}
	var steps []*followupsv1.SequenceStep
	for _, text := range texts {
		steps = append(steps, &followupsv1.SequenceStep{Channel: followupsv1.StepChannel_STEP_CHANNEL_SMS, BodyTemplate: text})
	}
	made, err := api.CreateSequence(ctx, &followupsv1.CreateSequenceRequest{Parent: t.Name, Sequence: &followupsv1.Sequence{
		DisplayName: "Texts " + uuid.NewString(), Active: true, Trigger: followupsv1.Trigger_TRIGGER_MANUAL, Steps: steps,
	}})
	if err != nil {
		return "", fmt.Errorf("make sequence: %w", err)
	}
	name := made.GetSequence().GetName()
	return name[len(name)-36:], nil
}

// Enroll enrolls everybody of the tenant in a sequence, due now, in one statement.
func (l *Lab) Enroll(ctx context.Context, t *Tenant, sequence string) error {
	leads := make([]string, len(t.People))
	for i, p := range t.People {
		leads[i] = p.Lead[len(p.Lead)-36:]
	}
	_, err := l.Admin.Exec(ctx, `INSERT INTO followups.enrollment (workspace_id, id, lead_id, sequence_id, sequence_version, state, position,
			base_time, due_time, next_time, start_time, replied_since, create_time, update_time)
		SELECT $1::uuid, gen_random_uuid(), lead, $2::uuid, 1, 'active', 1, now(), now(), now(), now(), now(), now(), now()
		FROM unnest($3::uuid[]) AS lead`, t.Workspace, sequence, leads)
	if err != nil {
		return fmt.Errorf("enroll: %w", err)
	}
	return nil
}
