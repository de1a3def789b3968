package main

import (
	"bytes"
	"context"
	"io"

	"github.com/aws/amazon-s3-encryption-client-go/v4/client"
	"github.com/aws/amazon-s3-encryption-client-go/v4/commitment"
	"github.com/aws/amazon-s3-encryption-client-go/v4/materials"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type clientV4 struct{ inner *client.S3EncryptionClientV4 }

func newV4(r Request) (Client, error) {
	kmsClient, s3Client := sdk2(r.Endpoint)
	legacy := func(o *materials.KeyringOptions) { o.EnableLegacyWrappingAlgorithms = r.LegacyWrapping }
	var keyring materials.Keyring = materials.NewKmsKeyring(kmsClient, r.Keyring.Arn, legacy)
	if r.Keyring.Kind == "kms-discovery" {
		keyring = materials.NewKmsDecryptOnlyAnyKeyKeyring(kmsClient, legacy)
	}
	manager, err := materials.NewCryptographicMaterialsManager(keyring)
	if err != nil {
		return nil, err
	}
	inner, err := client.New(s3Client, manager, func(o *client.EncryptionClientOptions) {
		o.EnableLegacyUnauthenticatedModes = r.LegacyContent
		switch r.Policy {
		case "FORBID_ENCRYPT_ALLOW_DECRYPT":
			o.CommitmentPolicy = commitment.FORBID_ENCRYPT_ALLOW_DECRYPT
		case "REQUIRE_ENCRYPT_ALLOW_DECRYPT":
			o.CommitmentPolicy = commitment.REQUIRE_ENCRYPT_ALLOW_DECRYPT
		case "REQUIRE_ENCRYPT_REQUIRE_DECRYPT":
			o.CommitmentPolicy = commitment.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
		}
	})
	return clientV4{inner}, err
}

func (c clientV4) Put(r Request, body []byte) error {
	_, err := c.inner.PutObject(withContext(r), &s3.PutObjectInput{
		Bucket: &r.Bucket, Key: &r.Key, Body: bytes.NewReader(body), Metadata: r.Metadata,
	})
	return err
}

func (c clientV4) Get(r Request) ([]byte, map[string]string, error) {
	input := &s3.GetObjectInput{Bucket: &r.Bucket, Key: &r.Key}
	if r.Range != "" {
		input.Range = aws.String(r.Range)
	}
	output, err := c.inner.GetObject(withContext(r), input)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(output.Body)
	return body, output.Metadata, err
}

func (c clientV4) Delete(r Request) error {
	_, err := c.inner.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &r.Bucket, Key: &r.Key})
	return err
}
