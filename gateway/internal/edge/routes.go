package edge

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/relance/relance/platform/principal"
)

// guard authenticates a request before its body is read. It answers false after it has refused the request itself, or
// true with the request to go on with, whose context holds the principal.
type guard func(w http.ResponseWriter, r *http.Request) (*http.Request, bool)

// route is one row of the public surface in front of and around the resources of routes.yaml.
type route struct {
	// path is exact, with wildcards of net/http, or a prefix when it ends in "/".
	path string
	// methods maps a method to its handler; nil takes every method by any.
	methods map[string]http.HandlerFunc
	any     http.HandlerFunc
	// guard runs before the handler of every method but those in open.
	guard guard
	// open lists methods that need no guard because they show nothing and change nothing.
	open []string
}

// guarded lists the path prefixes where a route without a guard is a programming error.
func guarded() []string { return []string{"/api/", "/v1/"} }

func (e *Edge) routes() []route {
	cron := e.secretGuard(e.opts.Cron, "X-Cron-Secret", principal.KindCron)
	admin := e.secretGuard(e.opts.Admin, "X-Admin-Secret", principal.KindAdmin)
	both := func(h http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodGet: h, http.MethodPost: h}
	}
	get := func(h http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodGet: h, http.MethodHead: h}
	}
	webhook := func(accept http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodGet: e.webhookHealth, http.MethodPost: accept}
	}
	sent := func(path string, from sender) route {
		return route{path: path, methods: webhook(e.senderWebhook(from)), guard: e.senderGuard(from), open: []string{http.MethodGet}}
	}
	return []route{
		{path: "/healthz", methods: get(e.healthz)},
		{path: "/readyz", methods: get(e.readyz)},
		{path: "/openapi.json", methods: get(e.openAPI)},
		{path: "/api/cron/followups", methods: both(e.cronFollowUps), guard: cron},
		{path: "/api/cron/availability", methods: both(e.cronAvailability), guard: cron},
		{path: "/api/cron/sync", methods: both(e.cronSync), guard: cron},
		{
			path: "/api/admin/workspaces", guard: admin,
			methods: map[string]http.HandlerFunc{http.MethodPost: e.provisionWorkspace},
		},
		{path: "/api/webhooks/ghl", methods: webhook(e.marketplaceWebhook), guard: e.signatureGuard, open: []string{http.MethodGet}},
		sent("/api/webhooks/ghl/sms", workflowSender()),
		sent("/api/webhooks/email", emailBisonSender()),
		sent("/api/webhooks/smartlead", smartleadSender()),
		sent("/api/webhooks/instantly", instantlySender()),
		sent("/api/webhooks/calendly/{workspace}", calendlySender()),
		{path: "/v1/", any: e.resource, guard: admin},
		{path: "/", any: func(w http.ResponseWriter, r *http.Request) { refuse(w, r, routeUnknown()) }},
	}
}

// route builds the handler of the table. It fails for a route under a guarded prefix that has no guard.
func (e *Edge) route(table []route) (http.Handler, error) {
	mux := http.NewServeMux()
	for _, row := range table {
		needs := slices.ContainsFunc(guarded(), func(prefix string) bool { return strings.HasPrefix(row.path, prefix) })
		if needs && row.guard == nil {
			return nil, fmt.Errorf("route %s has no guard", row.path)
		}
		mux.Handle(row.path, row.handler())
	}
	return e.observe(plainPaths(mux)), nil
}

// plainPaths takes repeated slashes of a path for one, and knows no route whose path has dots for a segment. ServeMux would
// answer both with a redirect, which turns a POST into a GET: a webhook sent to "//api/webhooks/ghl" would be answered 200 and lost.
func plainPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		single := oneSlash(escaped)
		plain, err := url.PathUnescape(single)
		if clean := path.Clean(single); err != nil || clean != strings.TrimSuffix(single, "/") && single != "/" {
			refuse(w, r, routeUnknown())
			return
		}
		if single != escaped {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = plain, single
		}
		next.ServeHTTP(w, r)
	})
}

func oneSlash(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}

func (row route) handler() http.HandlerFunc {
	allow := make([]string, 0, len(row.methods))
	for method := range row.methods {
		allow = append(allow, method)
	}
	slices.Sort(allow)
	return func(w http.ResponseWriter, r *http.Request) {
		if record, ok := recordFrom(r.Context()); ok {
			record.route = row.path
		}
		serve := row.any
		if row.methods != nil {
			serve = row.methods[r.Method]
		}
		if serve == nil {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			refuse(w, r, methodNotAllowed())
			return
		}
		if row.guard != nil && !slices.Contains(row.open, r.Method) {
			var ok bool
			if r, ok = row.guard(w, r); !ok {
				return
			}
		}
		serve(w, r)
	}
}
