import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Map;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/** One request line. */
final class Request {
    final JsonNode node;

    Request(JsonNode node) {
        this.node = node;
    }

    String text(String name) {
        JsonNode value = node.get(name);
        return value == null || value.isNull() ? null : value.asText();
    }

    String text(String name, String otherwise) {
        String value = text(name);
        return value == null ? otherwise : value;
    }

    boolean flag(String name) {
        return node.path(name).asBoolean(false);
    }

    boolean instructionFile() {
        return "instruction-file".equals(text("storage"));
    }

    Map<String, String> context() {
        return Peer.map(node.get("context"));
    }

    Map<String, String> metadata() {
        return Peer.map(node.get("metadata"));
    }

    byte[] plaintext() throws Exception {
        return Files.readAllBytes(Path.of(text("file")));
    }

    Key key() {
        return new Key(node.get("keyring"));
    }

    Key newKey() {
        return new Key(node.get("new_keyring"));
    }

    /** A wrapping key as the harness describes it. */
    record Key(JsonNode node) {
        String kind() {
            return node.get("kind").asText();
        }

        String arn() {
            return node.get("arn").asText();
        }

        SecretKey aes() {
            return new SecretKeySpec(HexFormat.of().parseHex(node.get("hex").asText()), "AES");
        }

        KeyPair rsa() throws Exception {
            KeyFactory factory = KeyFactory.getInstance("RSA");
            PublicKey open = factory.generatePublic(new X509EncodedKeySpec(pem("public_pem")));
            PrivateKey secret = factory.generatePrivate(new PKCS8EncodedKeySpec(pem("private_pem")));
            return new KeyPair(open, secret);
        }

        Map<String, String> description() {
            return Peer.map(node.get("material_description"));
        }

        private byte[] pem(String name) {
            String body = node.get(name).asText().replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
            return Base64.getDecoder().decode(body);
        }
    }
}
