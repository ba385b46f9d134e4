package edge

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

type provisioning struct {
	name, location, key, timezone string
}

type workspaceAnswer struct {
	ID            string `json:"id"`
	ResourceName  string `json:"resourceName"`
	Name          string `json:"name"`
	Timezone      string `json:"timezone"`
	GHLLocationID string `json:"ghlLocationId"`
}

type provisioningAnswer struct {
	Success   bool            `json:"success"`
	Existed   bool            `json:"existed"`
	Updated   bool            `json:"updated"`
	Workspace workspaceAnswer `json:"workspace"`
}

// provisionWorkspace makes a workspace and connects it in one call: 201 for a new one, 200 when the location had been
// provisioned before, whose token is then replaced. Both are stored in one commit: a token or location that is refused leaves no
// workspace behind. The location derives the request id, so that repeating a call makes no second one.
func (e *Edge) provisionWorkspace(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	want, err := parseProvisioning(body)
	if err != nil {
		writeError(r.Context(), w, err)
		return
	}
	ctx, cancel := e.call(r, e.opts.CallTimeout)
	defer cancel()
	workspace, existed, err := e.provision(ctx, want)
	if err != nil {
		writeError(r.Context(), w, err)
		return
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	writeJSON(w, status, provisioningAnswer{
		Success: true, Existed: existed, Updated: existed, Workspace: workspaceAnswer{
			ID: strings.TrimPrefix(workspace.GetName(), "workspaces/"), ResourceName: workspace.GetName(),
			Name: workspace.GetDisplayName(), Timezone: workspace.GetTimeZone(), GHLLocationID: want.location,
		},
	})
}

func (e *Edge) provision(ctx context.Context, want provisioning) (*syncv1.Workspace, bool, error) {
	created, err := e.sync.CreateWorkspace(ctx, &syncv1.CreateWorkspaceRequest{
		Workspace:  &syncv1.Workspace{DisplayName: want.name, TimeZone: want.timezone},
		RequestId:  uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://relance.dev/provision/ghl/"+want.location)).String(),
		Connection: &syncv1.Connection{Location: want.location, Token: want.key},
	})
	return created.GetWorkspace(), created.GetExisted(), err
}

// parseProvisioning reads the body strictly: known names, strings, no name twice. All faults are told at once.
func parseProvisioning(body []byte) (provisioning, error) {
	var object structpb.Struct
	if err := protojson.Unmarshal(body, &object); err != nil {
		return provisioning{}, apierr.Invalid(apierr.FieldViolation{Field: "body", Description: "is not a JSON object"})
	}
	var p provisioning
	targets := map[string]*string{"name": &p.name, "ghlLocationId": &p.location, "ghlPrivateKey": &p.key, "timezone": &p.timezone}
	var faults []apierr.FieldViolation
	for field, value := range object.GetFields() {
		target, known := targets[field]
		text, isText := value.GetKind().(*structpb.Value_StringValue)
		switch {
		case !known:
			faults = append(faults, apierr.FieldViolation{Field: field, Description: "is not a known field"})
		case !isText:
			faults = append(faults, apierr.FieldViolation{Field: field, Description: "must be a string"})
		default:
			*target = strings.TrimSpace(text.StringValue)
		}
	}
	for _, field := range []string{"name", "ghlLocationId", "ghlPrivateKey", "timezone"} {
		if *targets[field] == "" && !slices.ContainsFunc(faults, func(v apierr.FieldViolation) bool { return v.Field == field }) {
			faults = append(faults, apierr.FieldViolation{Field: field, Description: "is required"})
		}
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b apierr.FieldViolation) int { return strings.Compare(a.Field, b.Field) })
		return provisioning{}, apierr.Invalid(faults...)
	}
	return p, nil
}
