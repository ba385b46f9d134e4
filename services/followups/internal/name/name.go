// Package name builds and reads the resource names of the API.
package name

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Workspace is "workspaces/{id}".
func Workspace(id uuid.UUID) string { return "workspaces/" + id.String() }

// Child is "workspaces/{workspace}/{collection}/{id}".
func Child(workspace uuid.UUID, collection string, id uuid.UUID) string {
	return Workspace(workspace) + "/" + collection + "/" + id.String()
}

// Lead is the name of a lead.
func Lead(workspace, id uuid.UUID) string { return Child(workspace, "leads", id) }

// Run is "runs/{id}".
func Run(id uuid.UUID) string { return "runs/" + id.String() }

// ParseWorkspace reads "workspaces/{uuid}".
func ParseWorkspace(text string) (uuid.UUID, error) { return parse(text, "workspaces") }

// ParseRun reads "runs/{uuid}".
func ParseRun(text string) (uuid.UUID, error) { return parse(text, "runs") }

// ParseChild reads "workspaces/{uuid}/{collection}/{uuid}".
func ParseChild(text, collection string) (workspace, id uuid.UUID, err error) {
	parent, child, ok := strings.Cut(text, "/"+collection+"/")
	if ok {
		if workspace, err = ParseWorkspace(parent); err == nil {
			if id, err = parse(collection+"/"+child, collection); err == nil {
				return workspace, id, nil
			}
		}
	}
	return uuid.Nil, uuid.Nil, fmt.Errorf("must be workspaces/{uuid}/%s/{uuid}", collection)
}

func parse(text, collection string) (uuid.UUID, error) {
	rest, ok := strings.CutPrefix(text, collection+"/")
	if ok && len(rest) == 36 { // uuid.Parse would take other spellings
		if id, err := uuid.Parse(rest); err == nil && id.String() == rest {
			return id, nil
		}
	}
	return uuid.Nil, fmt.Errorf("must be %s/{uuid}", collection)
}
