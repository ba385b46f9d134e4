package apierr

import (
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// GRPCStatus turns e into what crosses the wire, with its standard details. Cause stays here.
func (e *Error) GRPCStatus() *status.Status {
	st := status.New(e.Code, clean(e.Message))
	details := e.details()
	if len(details) == 0 {
		return st
	}
	with, err := st.WithDetails(details...)
	if err != nil {
		return st
	}
	return with
}

// clean keeps text that came from outside from making the whole status unmarshalable.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func cleanMap(in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[clean(k)] = clean(v)
	}
	return out
}

func (e *Error) details() []protoadapt.MessageV1 {
	var out []protoadapt.MessageV1
	if e.Reason != "" {
		out = append(out, &errdetails.ErrorInfo{Reason: e.Reason, Domain: e.Domain, Metadata: cleanMap(e.Metadata)})
	}
	if len(e.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range e.Violations {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: clean(v.Field), Description: clean(v.Description)})
		}
		out = append(out, bad)
	}
	if len(e.Preconditions) > 0 {
		failure := &errdetails.PreconditionFailure{}
		for _, p := range e.Preconditions {
			failure.Violations = append(failure.Violations,
				&errdetails.PreconditionFailure_Violation{Type: p.Type, Subject: clean(p.Subject), Description: clean(p.Description)})
		}
		out = append(out, failure)
	}
	if len(e.Help) > 0 {
		help := &errdetails.Help{}
		for _, l := range e.Help {
			help.Links = append(help.Links, &errdetails.Help_Link{Description: clean(l.Description), Url: clean(l.URL)})
		}
		out = append(out, help)
	}
	if e.Resource != nil {
		out = append(out, &errdetails.ResourceInfo{ResourceType: e.Resource.Type, ResourceName: clean(e.Resource.Name)})
	}
	if e.RetryAfter > 0 {
		out = append(out, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	return out
}

func fromStatus(st *status.Status) *Error {
	e := &Error{Code: st.Code(), Message: st.Message()}
	for _, detail := range st.Details() {
		e.read(detail)
	}
	return e
}

func (e *Error) read(detail any) {
	switch d := detail.(type) {
	case *errdetails.ErrorInfo:
		e.Domain, e.Reason, e.Metadata = d.GetDomain(), d.GetReason(), d.GetMetadata()
	case *errdetails.BadRequest:
		for _, v := range d.GetFieldViolations() {
			e.Violations = append(e.Violations, FieldViolation{Field: v.GetField(), Description: v.GetDescription()})
		}
	case *errdetails.PreconditionFailure:
		for _, v := range d.GetViolations() {
			e.Preconditions = append(e.Preconditions, PreconditionViolation{
				Type: v.GetType(), Subject: v.GetSubject(), Description: v.GetDescription(),
			})
		}
	case *errdetails.Help:
		for _, l := range d.GetLinks() {
			e.Help = append(e.Help, Link{Description: l.GetDescription(), URL: l.GetUrl()})
		}
	case *errdetails.ResourceInfo:
		e.Resource = &Resource{Type: d.GetResourceType(), Name: d.GetResourceName()}
	case *errdetails.RetryInfo:
		e.RetryAfter = d.GetRetryDelay().AsDuration()
	}
}
