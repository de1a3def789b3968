import java.util.function.Consumer;
import software.amazon.awssdk.awscore.AwsRequestOverrideConfiguration;
import software.amazon.encryption.s3.S3EncryptionClient;

/** What major 3 has instead: no commitment policy. */
final class Flavor {
    private Flavor() {}

    static S3EncryptionClient.Builder builder(String policy) {
        return S3EncryptionClient.builder();
    }

    static Consumer<AwsRequestOverrideConfiguration.Builder> suffix(String suffix) {
        return S3EncryptionClient.withCustomInstructionFileSuffix(suffix);
    }
}
