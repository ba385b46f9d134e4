package sync

import (
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// Policy is the decision table of the service: who may call what. A method without a row is denied.
func Policy() principal.Policy {
	admin := []principal.Kind{principal.KindAdmin}
	// People settle parked messages: an admin, or a user.
	people := []principal.Kind{principal.KindAdmin, principal.KindUser}
	services := []principal.Kind{principal.KindFollowUps, principal.KindAvailability, principal.KindAdmin, principal.KindSync}
	return principal.Policy{
		syncv1.SyncService_CreateWorkspace_FullMethodName:       admin,
		syncv1.SyncService_GetWorkspace_FullMethodName:          services,
		syncv1.SyncService_ListWorkspaces_FullMethodName:        {principal.KindAvailability, principal.KindAdmin},
		syncv1.SyncService_UpdateWorkspace_FullMethodName:       admin,
		syncv1.SyncService_SetConnection_FullMethodName:         admin,
		syncv1.SyncService_GetConnectionHealth_FullMethodName:   {principal.KindFollowUps, principal.KindAdmin},
		syncv1.SyncService_RotateWebhookSecret_FullMethodName:   admin,
		syncv1.SyncService_UpsertLead_FullMethodName:            admin,
		syncv1.SyncService_GetLead_FullMethodName:               services,
		syncv1.SyncService_BatchGetLeads_FullMethodName:         services,
		syncv1.SyncService_ListLeads_FullMethodName:             admin,
		syncv1.SyncService_SendMessage_FullMethodName:           {principal.KindFollowUps, principal.KindAdmin},
		syncv1.SyncService_CheckSend_FullMethodName:             append([]principal.Kind{principal.KindFollowUps}, people...),
		syncv1.SyncService_GetMessage_FullMethodName:            append([]principal.Kind{principal.KindFollowUps}, people...),
		syncv1.SyncService_ListMessages_FullMethodName:          people,
		syncv1.SyncService_ResolveMessage_FullMethodName:        people,
		syncv1.SyncService_GetConversation_FullMethodName:       people,
		syncv1.SyncService_ListConversations_FullMethodName:     people,
		syncv1.SyncService_SyncConversation_FullMethodName:      people,
		syncv1.SyncService_SyncDueConversations_FullMethodName:  {principal.KindCron, principal.KindAdmin},
		syncv1.SyncService_BackfillConversations_FullMethodName: admin,
		syncv1.SyncService_WatchConversations_FullMethodName:    people,
		syncv1.SyncService_SetMessageVerdict_FullMethodName:     people,
		syncv1.SyncService_ListOptOuts_FullMethodName:           people,
		syncv1.SyncService_ReviewOptOut_FullMethodName:          people,
		syncv1.SyncService_ListLeadConflicts_FullMethodName:     people,
		syncv1.SyncService_ResolveLeadConflict_FullMethodName:   people,
		syncv1.SyncService_EnsureContact_FullMethodName:         people,
		syncv1.SyncService_GetContactLink_FullMethodName:        people,
		syncv1.SyncService_ListContactLinks_FullMethodName:      people,
		syncv1.SyncService_LiftOptOut_FullMethodName:            admin,
		syncv1.SyncService_RetryOptOutPush_FullMethodName:       admin,
		syncv1.SyncService_UnblockLead_FullMethodName:           admin,
		syncv1.SyncService_ListFreeSlots_FullMethodName:         {principal.KindAvailability},
		syncv1.SyncService_BookAppointment_FullMethodName:       {principal.KindAvailability},
		syncv1.SyncService_GetBooking_FullMethodName:            append([]principal.Kind{principal.KindAvailability}, people...),
		syncv1.SyncService_ListAppointments_FullMethodName:      append([]principal.Kind{principal.KindFollowUps, principal.KindAvailability}, people...),
		syncv1.SyncService_ListTakenTimes_FullMethodName:        {principal.KindAvailability},
		syncv1.SyncService_IdentifyWebhookSender_FullMethodName: {principal.KindGateway},
		syncv1.SyncService_AcceptWebhook_FullMethodName:         {principal.KindWebhook},
		syncv1.SyncService_BatchAcceptWebhooks_FullMethodName:   {principal.KindWebhook},
		syncv1.SyncService_ListWebhookEvents_FullMethodName:     admin,
		syncv1.SyncService_ReplayWebhookEvents_FullMethodName:   admin,
		syncv1.SyncService_ListIngestionHealth_FullMethodName:   admin,
	}
}
