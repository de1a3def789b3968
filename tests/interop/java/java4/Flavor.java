import java.util.function.Consumer;
import software.amazon.awssdk.awscore.AwsRequestOverrideConfiguration;
import software.amazon.encryption.s3.CommitmentPolicy;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.algorithms.AlgorithmSuite;

/** What only major 4 has. */
final class Flavor {
    private Flavor() {}

    static S3EncryptionClient.Builder builder(String policy) {
        S3EncryptionClient.Builder builder = S3EncryptionClient.builderV4();
        if (policy == null) {
            return builder;
        }
        CommitmentPolicy chosen = CommitmentPolicy.valueOf(policy);
        return builder.commitmentPolicy(chosen).encryptionAlgorithm(chosen.requiresEncrypt()
                ? AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
                : AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF);
    }

    static Consumer<AwsRequestOverrideConfiguration.Builder> suffix(String suffix) {
        return S3EncryptionClient.withCustomInstructionFileSuffix(suffix);
    }
}
