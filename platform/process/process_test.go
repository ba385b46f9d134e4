package process_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/relance/relance/platform/process"
)

func TestRunStopsInReverseOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var stopped []string
	part := func(name string) process.Component {
		return process.Component{Name: name, Run: func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			stopped = append(stopped, name)
			return nil
		}}
	}
	cause := errors.New("broken")
	err := process.Run(t.Context(), part("a"), part("b"), process.Component{Name: "c", Run: func(context.Context) error { return cause }})
	if !errors.Is(err, cause) {
		t.Errorf("Run = %v, want the cause", err)
	}
	if want := []string{"b", "a"}; !slices.Equal(stopped, want) {
		t.Errorf("stopped %v, want %v", stopped, want)
	}
}
