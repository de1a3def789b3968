import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.regions.Region;
import com.amazonaws.regions.Regions;
import com.amazonaws.services.kms.AWSKMS;
import com.amazonaws.services.kms.AWSKMSClientBuilder;
import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3EncryptionClient;
import com.amazonaws.services.s3.AmazonS3EncryptionClientBuilder;
import com.amazonaws.services.s3.AmazonS3EncryptionClientV2;
import com.amazonaws.services.s3.AmazonS3EncryptionClientV2Builder;
import com.amazonaws.services.s3.model.CompleteMultipartUploadRequest;
import com.amazonaws.services.s3.model.CryptoConfiguration;
import com.amazonaws.services.s3.model.CryptoConfigurationV2;
import com.amazonaws.services.s3.model.CryptoMode;
import com.amazonaws.services.s3.model.CryptoRangeGetMode;
import com.amazonaws.services.s3.model.CryptoStorageMode;
import com.amazonaws.services.s3.model.EncryptedGetObjectRequest;
import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.InitiateMultipartUploadRequest;
import com.amazonaws.services.s3.model.KMSEncryptionMaterials;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.services.s3.model.PartETag;
import com.amazonaws.services.s3.model.PutInstructionFileRequest;
import com.amazonaws.services.s3.model.PutObjectRequest;
import com.amazonaws.services.s3.model.S3Object;
import com.amazonaws.services.s3.model.S3ObjectId;
import com.amazonaws.services.s3.model.StaticEncryptionMaterialsProvider;
import com.amazonaws.services.s3.model.UploadPartRequest;
import com.amazonaws.util.IOUtils;
import java.io.ByteArrayInputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The encryption clients inside the AWS SDK for Java 1, in each of their modes. */
final class Main extends Peer {
    private static final AWSStaticCredentialsProvider CREDENTIALS =
            new AWSStaticCredentialsProvider(new BasicAWSCredentials("test", "test"));

    public static void main(String[] arguments) throws Exception {
        new Main().serve();
    }

    private static EndpointConfiguration endpoint(Request request) {
        return new EndpointConfiguration(request.text("endpoint"), "us-east-1");
    }

    private static AWSKMS kms(Request request) {
        return AWSKMSClientBuilder.standard().withCredentials(CREDENTIALS).withEndpointConfiguration(endpoint(request))
                .build();
    }

    private static CryptoStorageMode storage(Request request) {
        return request.instructionFile() ? CryptoStorageMode.InstructionFile : CryptoStorageMode.ObjectMetadata;
    }

    private static AmazonS3 client(Request request) throws Exception {
        StaticEncryptionMaterialsProvider materials =
                new StaticEncryptionMaterialsProvider(materials(request.key(), request.context()));
        if (request.text("client").equals("javasdk1-v2")) {
            boolean legacy = request.flag("legacy_wrapping") || request.flag("legacy_content");
            CryptoConfigurationV2 configuration = new CryptoConfigurationV2()
                    .withCryptoMode(legacy ? CryptoMode.AuthenticatedEncryption
                            : CryptoMode.StrictAuthenticatedEncryption)
                    .withStorageMode(storage(request))
                    .withRangeGetMode(legacy ? CryptoRangeGetMode.ALL : CryptoRangeGetMode.DISABLED)
                    .withAwsKmsRegion(Region.getRegion(Regions.US_EAST_1));
            return AmazonS3EncryptionClientV2Builder.standard().withCredentials(CREDENTIALS)
                    .withEndpointConfiguration(endpoint(request)).withPathStyleAccessEnabled(true)
                    .withCryptoConfiguration(configuration).withKmsClient(kms(request))
                    .withEncryptionMaterialsProvider(materials).build();
        }
        CryptoMode mode = switch (request.text("client")) {
            case "javasdk1-eo" -> CryptoMode.EncryptionOnly;
            case "javasdk1-ae" -> CryptoMode.AuthenticatedEncryption;
            default -> CryptoMode.StrictAuthenticatedEncryption;
        };
        CryptoConfiguration configuration = new CryptoConfiguration(mode).withStorageMode(storage(request))
                .withAwsKmsRegion(Region.getRegion(Regions.US_EAST_1));
        return AmazonS3EncryptionClientBuilder.standard().withCredentials(CREDENTIALS)
                .withEndpointConfiguration(endpoint(request)).withPathStyleAccessEnabled(true)
                .withCryptoConfiguration(configuration).withKmsClient(kms(request)).withEncryptionMaterials(materials)
                .build();
    }

    private static EncryptionMaterials materials(Request.Key key, Map<String, String> context) throws Exception {
        EncryptionMaterials materials = switch (key.kind()) {
            case "aes" -> new EncryptionMaterials(key.aes());
            case "rsa" -> new EncryptionMaterials(key.rsa());
            default -> new KMSEncryptionMaterials(key.arn());
        };
        key.description().forEach(materials::addDescription);
        context.forEach(materials::addDescription);
        return materials;
    }

    private static ObjectMetadata metadata(Request request, int length) {
        ObjectMetadata metadata = new ObjectMetadata();
        request.metadata().forEach(metadata::addUserMetadata);
        if (length >= 0) {
            metadata.setContentLength(length);
        }
        return metadata;
    }

    @Override
    byte[] get(Request request, Map<String, String> metadata) throws Exception {
        EncryptedGetObjectRequest get = new EncryptedGetObjectRequest(request.text("bucket"), request.text("key"));
        if (request.text("suffix") != null) {
            get.setInstructionFileSuffix(request.text("suffix"));
        }
        if (request.text("range") != null) {
            String[] ends = request.text("range").substring("bytes=".length()).split("-");
            get.setRange(Long.parseLong(ends[0]), Long.parseLong(ends[1]));
        }
        try (S3Object answer = client(request).getObject(get)) {
            metadata.putAll(answer.getObjectMetadata().getUserMetadata());
            return IOUtils.toByteArray(answer.getObjectContent());
        }
    }

    @Override
    void put(Request request) throws Exception {
        byte[] body = request.plaintext();
        client(request).putObject(new PutObjectRequest(request.text("bucket"), request.text("key"),
                new ByteArrayInputStream(body), metadata(request, body.length)));
    }

    @Override
    void putMultipart(Request request) throws Exception {
        AmazonS3 client = client(request);
        String bucket = request.text("bucket");
        String key = request.text("key");
        String id = client.initiateMultipartUpload(
                new InitiateMultipartUploadRequest(bucket, key, metadata(request, -1))).getUploadId();
        byte[] body = request.plaintext();
        int size = request.node.get("part_size").asInt();
        List<PartETag> parts = new ArrayList<>();
        for (int start = 0, number = 1; start < body.length; start += size, number += 1) {
            int length = Math.min(size, body.length - start);
            parts.add(client.uploadPart(new UploadPartRequest().withBucketName(bucket).withKey(key).withUploadId(id)
                    .withPartNumber(number).withPartSize(length).withLastPart(start + length == body.length)
                    .withInputStream(new ByteArrayInputStream(body, start, length))).getPartETag());
        }
        client.completeMultipartUpload(new CompleteMultipartUploadRequest(bucket, key, id, parts));
    }

    @Override
    void reencrypt(Request request) throws Exception {
        S3ObjectId id = new S3ObjectId(request.text("bucket"), request.text("key"));
        String suffix = request.text("suffix") == null ? "instruction" : request.text("suffix");
        PutInstructionFileRequest put =
                new PutInstructionFileRequest(id, materials(request.newKey(), Map.of()), suffix);
        AmazonS3 client = client(request);
        if (client instanceof AmazonS3EncryptionClientV2) {
            ((AmazonS3EncryptionClientV2) client).putInstructionFile(put);
        } else {
            ((AmazonS3EncryptionClient) client).putInstructionFile(put);
        }
    }

    @Override
    void delete(Request request) throws Exception {
        client(request).deleteObject(request.text("bucket"), request.text("key"));
    }
}
