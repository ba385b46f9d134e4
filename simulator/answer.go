package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// object is a JSON object under construction.
type object = map[string]any

// answer is a response not yet written, so that a fault can still spoil it.
type answer struct {
	status  int
	headers map[string]string
	body    []byte
	refusal string
}

// reply is a success with a traceId beside the other keys, as every body has.
func reply(status int, body object) answer {
	body["traceId"] = newUUID()
	return answer{status: status, body: encode(body)}
}

// refusal describes an error answer. Message may be a string or a list of strings.
type refusal struct {
	status  int
	code    string // canonicalCode, "" when the family has none
	message any
	extra   object
}

func (r refusal) answer() answer {
	body := object{"statusCode": r.status, "message": r.message, "traceId": newUUID()}
	if text := http.StatusText(r.status); text != "" {
		body["error"] = text
	}
	if r.code != "" {
		body["canonicalCode"] = r.code
	}
	for key, value := range r.extra {
		body[key] = value
	}
	name := r.code
	if text, ok := r.message.(string); ok && name == "" {
		name = text
	}
	if name == "" {
		name = "validation"
	}
	return answer{status: r.status, body: encode(body), refusal: name}
}

func refuse(status int, message any) answer {
	return refusal{status: status, message: message}.answer()
}

func refuseCode(status int, code, message string) answer {
	return refusal{status: status, code: code, message: message}.answer()
}

// invalid is the 422 of the DTO validators: a list of sentences.
func invalid(messages ...string) answer {
	return refuse(http.StatusUnprocessableEntity, messages)
}

// encode writes JSON as JSON.stringify does: no HTML escapes, no final newline.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // only maps, strings and numbers come here
		panic("simulator: encode body: " + err.Error())
	}
	return bytes.TrimRight(buf.Bytes(), "\n")
}

// write sends the answer; a failed write means the client has gone, which is its affair.
func (a answer) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	for name, value := range a.headers {
		header[name] = []string{value} // keeps HighLevel's spelling on the wire
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}
