package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The libraries look the context up under a plain string key.
//
//lint:ignore SA1029 the key's type is the libraries'
const encryptionContext = "EncryptionContext"

func sdk2(endpoint string) (*kms.Client, *s3.Client) {
	keys := credentials.NewStaticCredentialsProvider("test", "test", "")
	config := aws.Config{Region: "us-east-1", Credentials: keys}
	kmsClient := kms.NewFromConfig(config, func(o *kms.Options) { o.BaseEndpoint = &endpoint })
	s3Client := s3.NewFromConfig(config, func(o *s3.Options) {
		o.BaseEndpoint = &endpoint
		o.UsePathStyle = true
	})
	return kmsClient, s3Client
}

func withContext(r Request) context.Context {
	if len(r.Context) == 0 {
		return context.Background()
	}
	return context.WithValue(context.Background(), encryptionContext, r.Context)
}
