package store

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// sealedLink are the columns of a link that are not kept as they are.
type sealedLink struct{ source, token, hours []byte }

func place(column string, id uuid.UUID) secretbox.AD {
	return secretbox.AD{Table: "calendar_link", Column: column, ID: id.String()}
}

func (s *Store) seal(link Link) (sealedLink, error) {
	var out sealedLink
	var err error
	if out.source, err = s.sealText(link.SourceURL, place("source", link.ID)); err != nil {
		return out, err
	}
	if out.token, err = s.sealText(link.Token, place("token", link.ID)); err != nil {
		return out, err
	}
	if link.Hours.Set() {
		out.hours, err = json.Marshal(link.Hours)
	}
	return out, err
}

func (s *Store) sealText(text redact.Secret, at secretbox.AD) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	return s.box.Seal([]byte(text), at)
}

func (s *Store) openText(sealed []byte, at secretbox.AD) (redact.Secret, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	plain, err := s.box.Open(sealed, at)
	return redact.Secret(plain), err
}

func (s *Store) open(l db.CalendarLink) (Link, error) {
	link := Link{
		Workspace: l.WorkspaceID, ID: l.ID, DisplayName: l.DisplayName, Provider: calendar.Kind(l.Provider),
		ExternalID: l.ExternalID, PublicURL: l.PublicUrl, Resolved: l.Resolved, Default: l.IsDefault, DirectBook: l.IsDirectBook,
		CreateTime: l.CreateTime, UpdateTime: l.UpdateTime,
	}
	var err error
	if link.SourceURL, err = s.openText(l.SourceEnc, place("source", l.ID)); err != nil {
		return Link{}, err
	}
	if link.Token, err = s.openText(l.TokenEnc, place("token", l.ID)); err != nil {
		return Link{}, err
	}
	if l.Hours != nil {
		var hours slots.Hours
		if err := json.Unmarshal(l.Hours, &hours); err != nil {
			return Link{}, fmt.Errorf("read working hours: %w", err)
		}
		link.Hours = hours
	}
	return link, nil
}
