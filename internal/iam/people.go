package iam

import "sekisho/internal/awsapi"

// peopleOperations are the operations on users, groups and what users prove themselves
// with.
func (s *Server) peopleOperations() []awsapi.Operation {
	return []awsapi.Operation{
		op("CreateUser", s.CreateUser),
		op("GetUser", s.GetUser),
		op("UpdateUser", s.UpdateUser),
		op("DeleteUser", s.DeleteUser),
		op("ListUsers", s.ListUsers),
		op("TagUser", s.TagUser),
		op("UntagUser", s.UntagUser),
		op("ListUserTags", s.ListUserTags),

		op("CreateAccessKey", s.CreateAccessKey),
		op("ListAccessKeys", s.ListAccessKeys),
		op("UpdateAccessKey", s.UpdateAccessKey),
		op("DeleteAccessKey", s.DeleteAccessKey),
		op("GetAccessKeyLastUsed", s.GetAccessKeyLastUsed),

		op("CreateGroup", s.CreateGroup),
		op("GetGroup", s.GetGroup),
		op("UpdateGroup", s.UpdateGroup),
		op("DeleteGroup", s.DeleteGroup),
		op("ListGroups", s.ListGroups),
		op("ListGroupsForUser", s.ListGroupsForUser),
		op("AddUserToGroup", s.AddUserToGroup),
		op("RemoveUserFromGroup", s.RemoveUserFromGroup),

		op("CreateLoginProfile", s.CreateLoginProfile),
		op("GetLoginProfile", s.GetLoginProfile),
		op("UpdateLoginProfile", s.UpdateLoginProfile),
		op("DeleteLoginProfile", s.DeleteLoginProfile),
		op("ChangePassword", s.ChangePassword),

		op("CreateVirtualMFADevice", s.CreateVirtualMFADevice),
		op("EnableMFADevice", s.EnableMFADevice),
		op("ResyncMFADevice", s.ResyncMFADevice),
		op("DeactivateMFADevice", s.DeactivateMFADevice),
		op("DeleteVirtualMFADevice", s.DeleteVirtualMFADevice),
		op("ListMFADevices", s.ListMFADevices),
		op("ListVirtualMFADevices", s.ListVirtualMFADevices),

		op("ListSSHPublicKeys", s.ListSSHPublicKeys),
		op("ListSigningCertificates", s.ListSigningCertificates),
		op("ListServiceSpecificCredentials", s.ListServiceSpecificCredentials),
		op("ListAccountAliases", s.ListAccountAliases),
		op("GetAccountPasswordPolicy", s.GetAccountPasswordPolicy),
	}
}
