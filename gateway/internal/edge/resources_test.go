package edge

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

func TestResource(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	header := admin()
	header["X-Request-Id"] = "from-the-client"
	w := h.do(t, http.MethodGet, "/v1/"+leadName, header, nil)
	requireStatus(t, w, http.StatusOK, "")
	lead, _ := object(t, w)["lead"].(map[string]any)
	if lead["name"] != leadName || lead["firstName"] != "" {
		t.Errorf("lead %v", lead)
	}
	if w.Header().Get("X-Request-Id") != "from-the-client" {
		t.Errorf("X-Request-Id %q", w.Header().Get("X-Request-Id"))
	}
	who, meta, _ := h.sync.get()
	if who != (principal.Principal{Kind: principal.KindAdmin}) || strings.Join(meta.Get("x-request-id"), ",") != "from-the-client" {
		t.Errorf("principal %v, metadata %v", who, meta)
	}
	if len(meta.Get("authorization")) != 0 {
		t.Error("the admin secret was forwarded")
	}
	for key := range w.Header() {
		if strings.HasPrefix(key, "Grpc-") {
			t.Errorf("answer carries %s", key)
		}
	}
}

func TestSendMessageRefusal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.sync.fail = apierr.New(codes.FailedPrecondition, "sync.relance.dev", "DND_ACTIVE", "do-not-disturb is on").
		With("channel", "sms").WithHelp("what to do", "https://relance.dev/docs/errors#dnd_active")
	w := h.do(t, http.MethodPost, "/v1/"+leadName+":sendMessage", admin(), strings.NewReader(`{"channel":"CHANNEL_SMS","body":"hi"}`))
	requireStatus(t, w, http.StatusBadRequest, "DND_ACTIVE")
	details, _ := object(t, w)["details"].([]any)
	if len(details) != 2 {
		t.Fatalf("details %v", details)
	}
	info, _ := details[0].(map[string]any)
	if info["@type"] != "type.googleapis.com/google.rpc.ErrorInfo" || info["domain"] != "sync.relance.dev" {
		t.Errorf("info %v", info)
	}
	request, _ := h.sync.req.(*syncv1.SendMessageRequest)
	if request.GetLead() != leadName || request.GetBody() != "hi" {
		t.Errorf("request %v", request)
	}
}

func TestBadResourceRequests(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	send := "/v1/" + leadName + ":sendMessage"
	for _, c := range []struct {
		method, path, body string
		header             map[string]string
		want               int
	}{
		{http.MethodPost, send, `{"channel":"CHANNEL_SMS","force":true}`, nil, 400},
		{http.MethodPost, send, `{"channel":"CHANNEL_SMS","channel":"CHANNEL_SMS"}`, nil, 400},
		{http.MethodPost, send, `{"channel":`, nil, 400},
		{http.MethodPost, send, "{\"body\":\"\xff\"}", nil, 400},
		{http.MethodPut, send, ``, nil, 405},
		{http.MethodPost, "/v1/" + leadName, ``, map[string]string{"X-HTTP-Method-Override": "GET"}, 405},
		{http.MethodPost, "/v1/" + leadName, `name=x`, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 405},
		{http.MethodGet, "/v1/workspaces/w/leads?pageSize=1&leadd=x", ``, nil, 400},
		{http.MethodGet, "/v1/workspaces/w/leads?pageSize=many", ``, nil, 400},
		{http.MethodGet, "/v1/nothing", ``, nil, 404},
		{http.MethodPost, "/v1/relance.sync.v1.SyncService/AcceptWebhook", `{}`, nil, 404},
		{http.MethodGet, "/nothing", ``, nil, 404},
		{http.MethodDelete, "/api/cron/followups", ``, nil, 405},
		{http.MethodGet, "/api/admin/workspaces", ``, nil, 405},
	} {
		header := admin()
		for key, value := range c.header {
			header[key] = value
		}
		w := h.do(t, c.method, c.path, header, strings.NewReader(c.body))
		if w.Code != c.want {
			t.Errorf("%s %s %q: %d, want %d: %s", c.method, c.path, c.body, w.Code, c.want, w.Body.String())
			continue
		}
		requireStatus(t, w, c.want, "")
	}
	if _, _, calls := h.sync.get(); calls != 0 {
		t.Errorf("%d bad requests reached the service", calls)
	}
}

func TestQueryAndMask(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	w := h.do(t, http.MethodGet, "/v1/workspaces/w/leads?pageSize=7&page_token=next", admin(), nil)
	requireStatus(t, w, http.StatusOK, "")
	list, _ := h.sync.req.(*syncv1.ListLeadsRequest)
	if list.GetParent() != "workspaces/w" || list.GetPageSize() != 7 || list.GetPageToken() != "next" {
		t.Errorf("request %v", list)
	}
	w = h.do(t, http.MethodPatch, "/v1/workspaces/w", admin(), strings.NewReader(`{"timeZone":"Europe/Paris","sendingDisabled":false}`))
	requireStatus(t, w, http.StatusOK, "")
	update, _ := h.sync.req.(*syncv1.UpdateWorkspaceRequest)
	paths := slices.Sorted(slices.Values(update.GetUpdateMask().GetPaths()))
	if update.GetWorkspace().GetName() != "workspaces/w" || !slices.Equal(paths, []string{"sending_disabled", "time_zone"}) {
		t.Errorf("request %v", update)
	}
}

func TestServiceAway(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.sync.fail = apierr.Unavailable("dial tcp 10.0.0.7:7001: connection refused", nil)
	w := h.do(t, http.MethodGet, "/v1/"+leadName, admin(), nil)
	requireStatus(t, w, http.StatusServiceUnavailable, "")
	if strings.Contains(w.Body.String(), "10.0.0.7") || w.Header().Get("Retry-After") == "" {
		t.Errorf("answer %s, Retry-After %q", w.Body.String(), w.Header().Get("Retry-After"))
	}
}

func TestProvisionWorkspace(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	body := `{"name":"Acme","ghlLocationId":"ve9EPM428h8vShlRW1KT","ghlPrivateKey":"pit-1","timezone":"America/New_York"}`
	for _, want := range []int{http.StatusCreated, http.StatusOK} {
		w := h.do(t, http.MethodPost, "/api/admin/workspaces", admin(), strings.NewReader(body))
		requireStatus(t, w, want, "")
		answer := object(t, w)
		workspace, _ := answer["workspace"].(map[string]any)
		if answer["existed"] != (want == http.StatusOK) || workspace["id"] != workspaceID || workspace["name"] != "Acme" {
			t.Errorf("answer %v", answer)
		}
		if strings.Contains(w.Body.String(), "pit-1") {
			t.Error("the token was answered")
		}
	}
	for bad, mention := range map[string]string{
		`{}`: "ghlPrivateKey", `[]`: "body", `{"name":1}`: "must be a string", `{"name":"a","name":"b"}`: "body", `{"admin":true}`: "not a known field",
	} {
		w := h.do(t, http.MethodPost, "/api/admin/workspaces", admin(), strings.NewReader(bad))
		requireStatus(t, w, http.StatusBadRequest, mention)
	}
}

func TestHealthAndDocuments(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, path := range []string{"/healthz", "/openapi.json"} {
		w := h.do(t, http.MethodGet, path, nil, nil)
		requireStatus(t, w, http.StatusOK, "")
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s lacks nosniff", path)
		}
		object(t, w)
	}
}

// TestAnOddRequestIDIsReplaced in the answer, and in what a service gets.
func TestAnOddRequestIDIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	header := admin()
	header["X-Request-Id"] = "two words"
	w := h.do(t, http.MethodGet, "/v1/"+leadName, header, nil)
	requireStatus(t, w, http.StatusOK, "")
	_, meta, _ := h.sync.get()
	if id := w.Header().Get("X-Request-Id"); len(id) != 36 || strings.Join(meta.Get("x-request-id"), ",") != id {
		t.Errorf("answered %q, the service got %v", id, meta.Get("x-request-id"))
	}
}

func TestAccessLogHoldsNoClientText(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const canary = "canary-12025550123"
	header := admin()
	header["X-Request-Id"] = canary + " with space"
	header["User-Agent"] = canary
	h.do(t, http.MethodGet, "/v1/"+canary+"?phone="+canary, header, nil)
	h.do(t, http.MethodPost, "/api/cron/followups?secret="+canary, map[string]string{"Authorization": "Bearer " + canary + "-long-enough"}, nil)
	h.do(t, canary, "/"+canary, nil, nil)
	text := h.logs.String()
	if strings.Contains(text, canary) {
		t.Errorf("log holds client text: %s", text)
	}
	if lines := strings.Count(text, "http request"); lines != 3 {
		t.Errorf("%d log lines for 3 requests", lines)
	}
}
