package edge

import (
	"context"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/relance/relance/gateway/internal/gen"
)

const readyTimeout = 2 * time.Second

type healthAnswer struct {
	Status string `json:"status"`
}

type readyAnswer struct {
	Status   string            `json:"status"`
	NotReady []string          `json:"notReady"`
	Services map[string]string `json:"services"`
}

// healthz tells that the process answers, nothing more.
func (e *Edge) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, healthAnswer{Status: "ok"})
}

// readyz asks all services; 503 names those that are not ready.
func (e *Edge) readyz(w http.ResponseWriter, r *http.Request) {
	answer := e.probe(r.Context())
	status := http.StatusOK
	if len(answer.NotReady) > 0 {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, answer)
}

func (e *Edge) probe(ctx context.Context) readyAnswer {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	states := make([]string, len(e.health))
	var wait sync.WaitGroup
	for i, service := range e.health {
		wait.Go(func() {
			states[i] = "UNREACHABLE"
			answer, err := service.client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err == nil {
				states[i] = answer.GetStatus().String()
			}
		})
	}
	wait.Wait()
	out := readyAnswer{Status: "ready", NotReady: []string{}, Services: map[string]string{}}
	for i, service := range e.health {
		out.Services[service.name] = states[i]
		if states[i] != grpc_health_v1.HealthCheckResponse_SERVING.String() {
			out.Status = "not ready"
			out.NotReady = append(out.NotReady, service.name)
		}
	}
	return out
}

func (e *Edge) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(gen.OpenAPI)
}
