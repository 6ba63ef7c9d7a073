package iam

import "sekisho/internal/awsapi"

// Operations that other files are about to bring.

func (s *Server) roleOperations() []awsapi.Operation    { return nil }
func (s *Server) policyOperations() []awsapi.Operation  { return nil }
func (s *Server) accountOperations() []awsapi.Operation { return nil }
