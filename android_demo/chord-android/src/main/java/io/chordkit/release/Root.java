package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** The root of a channel: whose signatures each of the four roles needs, and how many. */
final class Root {
  private static final String[] ROLES = {"root", "snapshot", "targets", "timestamp"};
  private static final Pattern ED25519 = Pattern.compile("ed25519");

  final SignedFile file;

  /** Public keys by their identifier. */
  private final Map<String, String> keys = new HashMap<String, String>();

  private final Map<String, String[]> keysOf = new HashMap<String, String[]>();
  private final Map<String, Long> thresholds = new HashMap<String, Long>();

  Root(SignedFile file) throws ReleaseException {
    this.file = file;
    if (!file.fields.flag("consistent_snapshot")) {
      throw file.fields.problem("consistent_snapshot", "true");
    }
    Fields all = file.fields.object("keys");
    for (String id : all.names()) {
      Fields key = all.object(id);
      key.text("keytype", ED25519);
      key.text("scheme", ED25519);
      keys.put(id, key.object("keyval").text("public", Fields.DIGEST));
    }
    Fields roles = file.fields.object("roles").only(ROLES);
    for (String role : ROLES) {
      String[] ids = roles.object(role).texts("keyids", Fields.ANY);
      keysOf.put(role, ids);
      thresholds.put(role, roles.object(role).whole("threshold", 1, CanonicalJson.LARGEST));
    }
  }

  /** Holds that as many keys of its role as are needed have signed a file; a key that has two identifiers counts once. */
  void requireSigned(SignedFile signed, @Nullable Ed25519Verifier verifier) throws ReleaseException {
    Set<String> valid = new HashSet<String>();
    for (String id : keysOf.get(signed.role)) {
      String key = keys.get(id);
      byte[] signature = signed.signatures.get(id);
      if (key != null && signature != null && verifier != null && verifier.verify(Hexadecimal.bytes(key), signature, signed.signed)) {
        valid.add(key);
      }
    }
    long threshold = thresholds.get(signed.role);
    if (valid.size() < threshold) {
      throw new ReleaseException.Untrusted(
          signed.role + ".json: " + valid.size() + " valid signatures, and root " + file.version + " wants " + threshold
              + (verifier == null ? "; give an Ed25519 verifier" : "; ask a mirror of the channel"));
    }
  }
}
