package edge

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
)

const simulatePath = "/v1/workspaces/" + workspaceID + "/sequences/0190d2a4-7c1e-7a10-8a51-3f6f3a5c0003:simulate"

// parts reads an answer in parts.
func parts(t *testing.T, w *httptest.ResponseRecorder) []map[string]any {
	t.Helper()
	var out []map[string]any
	for decoder := json.NewDecoder(w.Body); decoder.More(); {
		part := map[string]any{}
		if err := decoder.Decode(&part); err != nil {
			t.Fatal(err)
		}
		out = append(out, part)
	}
	return out
}

func TestAnswerInParts(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	header := admin()
	header["Grpc-Metadata-Authorization"] = "forged"
	w := h.do(t, http.MethodPost, simulatePath, header, strings.NewReader(`{}`))
	requireStatus(t, w, http.StatusOK, "")
	got := parts(t, w)
	if len(got) != 2 {
		t.Fatalf("%v", got)
	}
	last, _ := got[1]["result"].(map[string]any)
	if last["done"] != float64(2) || last["counts"] == nil {
		t.Errorf("last part %v", last)
	}
	who, meta, _ := h.followups.get()
	if who != (principal.Principal{Kind: principal.KindAdmin}) || len(meta.Get("authorization")) != 0 {
		t.Errorf("principal %v, metadata %v", who, meta)
	}
	if !strings.Contains(h.logs.String(), "SimulateSequence") {
		t.Error("the log does not name the RPC")
	}
}

func TestAnswerInPartsThatFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.followups.fail = apierr.New(codes.FailedPrecondition, "followups.relance.dev", "SEQUENCE_INVALID", "mend it")
	w := h.do(t, http.MethodPost, simulatePath, admin(), strings.NewReader(`{}`))
	if w.Code != http.StatusBadRequest {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	w = h.do(t, http.MethodPost, simulatePath, admin(), strings.NewReader(`{"leads":["`+leadName+`"]}`))
	got := parts(t, w)
	if len(got) != 2 {
		t.Fatalf("%v", got)
	}
	failure, _ := got[1]["error"].(map[string]any)
	details, _ := failure["details"].([]any)
	if len(details) == 0 || details[0].(map[string]any)["reason"] != "SEQUENCE_INVALID" {
		t.Errorf("last part %v", got[1])
	}
}

func TestAnswerInPartsNeedsTheSecret(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	w := h.do(t, http.MethodPost, simulatePath, nil, strings.NewReader(`{}`))
	requireStatus(t, w, http.StatusUnauthorized, "CREDENTIALS_REJECTED")
	if _, _, calls := h.followups.get(); calls != 0 {
		t.Error("the service was called")
	}
}
