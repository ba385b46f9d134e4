package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// reader reads a location's messages. It shares no code with the service's client on purpose.
type reader struct {
	base  string
	token string
	http  *http.Client
	// pause is kept between requests, so that an audit leaves the location's quota to the service.
	pause time.Duration
	reads int
}

const (
	maxAnswer   = 8 << 20
	maxPages    = 5000
	retries     = 5
	longestWait = 15 * time.Second
)

// seen is a message as the provider shows it.
type seen struct {
	ID        string    `json:"id"`
	Contact   string    `json:"contactId"`
	Direction string    `json:"direction"`
	Body      string    `json:"body"`
	Source    string    `json:"source"`
	At        time.Time `json:"dateAdded"`
	Meta      struct {
		Email struct {
			IDs []string `json:"messageIds"`
		} `json:"email"`
	} `json:"meta"`
	channel string
}

// messages walks what changed since a time, oldest first. The walk ends with an error when the provider's cursor leads
// nowhere: half a list would hide discrepancies.
func (r *reader) messages(ctx context.Context, location, channel string, since time.Time) ([]seen, error) {
	query := url.Values{
		"locationId": {location}, "channel": {map[string]string{"sms": "SMS", "email": "Email"}[channel]}, "limit": {"500"},
		"sortBy": {"updatedAt"}, "sortOrder": {"asc"}, "startDate": {since.UTC().Format(time.RFC3339)},
	}
	var out []seen
	known, cursors := map[string]bool{}, map[string]bool{}
	for range maxPages {
		var page struct {
			Messages *[]seen `json:"messages"`
			Next     *string `json:"nextCursor"`
		}
		if err := r.get(ctx, "/conversations/messages/export", query, &page); err != nil {
			return nil, err
		}
		if page.Messages == nil {
			return nil, errors.New("the provider's export holds no list")
		}
		for _, m := range *page.Messages {
			if m.ID != "" && !known[m.ID] {
				known[m.ID], m.channel = true, channel
				out = append(out, m)
			}
		}
		if page.Next == nil || *page.Next == "" {
			return out, nil
		}
		if cursors[*page.Next] {
			return nil, errors.New("the provider's cursor repeats")
		}
		cursors[*page.Next] = true
		query.Set("cursor", *page.Next)
	}
	return nil, errors.New("the provider's export does not end")
}

// exists asks for one message by its id.
func (r *reader) exists(ctx context.Context, id string) (bool, error) {
	var answer struct {
		ID string `json:"id"`
	}
	err := r.get(ctx, "/conversations/messages/"+url.PathEscape(id), nil, &answer)
	var status *statusError
	if errors.As(err, &status) && (status.code == http.StatusBadRequest || status.code == http.StatusNotFound) {
		return false, nil
	}
	return err == nil && answer.ID != "", err
}

// email reads the HTML of an email.
func (r *reader) email(ctx context.Context, id string) (string, error) {
	var answer struct {
		Body string `json:"body"`
	}
	err := r.get(ctx, "/conversations/messages/email/"+url.PathEscape(id), nil, &answer)
	return answer.Body, err
}

type statusError struct{ code int }

func (e *statusError) Error() string { return "the provider answered " + strconv.Itoa(e.code) }

func (r *reader) get(ctx context.Context, path string, query url.Values, into any) error {
	for try := 1; ; try++ {
		if err := rest(ctx, r.pause); err != nil {
			return err
		}
		wait, err := r.once(ctx, path, query, into)
		if wait == 0 || try == retries {
			return err
		}
		if err := rest(ctx, wait); err != nil {
			return err
		}
	}
}

// once makes one request. A wait means that it may be made again.
func (r *reader) once(ctx context.Context, path string, query url.Values, into any) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return 0, fmt.Errorf("read provider: %w", err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + r.token}, "Version": {"2021-04-15"}, "Accept": {"application/json"}}
	r.reads++
	resp, err := r.http.Do(req)
	if err != nil {
		return time.Second, fmt.Errorf("read provider: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return time.Second, fmt.Errorf("read provider: %w", err)
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return min(max(time.Duration(seconds)*time.Second, time.Second), longestWait), &statusError{resp.StatusCode}
	case resp.StatusCode != http.StatusOK:
		return 0, &statusError{resp.StatusCode}
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return 0, errors.New("the provider's answer is no JSON of the known shape")
	}
	return 0, nil
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
