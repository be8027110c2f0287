package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.util.Arrays;
import java.util.GregorianCalendar;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;
import java.util.regex.Pattern;

/** One of the four files of a channel's metadata: read, and not yet trusted. */
final class SignedFile {
  private static final Pattern SPECIFICATION = Pattern.compile("1(\\.[0-9]{1,4}){1,2}");
  private static final Pattern TIME = Pattern.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z");
  private static final Pattern SIGNATURE = Pattern.compile("[0-9a-f]{128}");

  final String role;
  final byte[] data;

  /** The bytes that are signed. */
  final byte[] signed;

  /** By the identifier of their key; what is no signature of Ed25519 is left out. */
  final Map<String, byte[]> signatures = new HashMap<String, byte[]>();

  final Fields fields;
  final long version;
  final long expires;

  /** The file that this one names; null = it is one that names none. */
  @Nullable final Below below;

  private SignedFile(String role, byte[] data) throws ReleaseException {
    String where = role + ".json";
    this.role = role;
    this.data = data;
    CanonicalJson json = new CanonicalJson(data, where);
    Fields whole = Fields.of(json.value(), where).only("signatures", "signed");
    json.expectEnd();
    this.fields = whole.object("signed");
    readSignatures(whole);
    this.signed = Arrays.copyOfRange(data, startOfSigned(data, where), data.length - 1);
    fields.text("_type", Pattern.compile(role));
    fields.text("spec_version", SPECIFICATION);
    this.version = fields.whole("version", 1, CanonicalJson.LARGEST);
    this.expires = seconds(fields.text("expires", TIME));
    this.below = role.equals("timestamp") ? new Below("snapshot") : role.equals("snapshot") ? new Below("targets") : null;
  }

  static SignedFile parse(String role, byte[] data) throws ReleaseException {
    return new SignedFile(role, data);
  }

  /** The last of two members begins after the first. */
  private static int startOfSigned(byte[] data, String where) throws ReleaseException {
    CanonicalJson again = new CanonicalJson(data, where);
    again.expect("{\"signatures\":");
    again.value();
    again.expect(",\"signed\":");
    return again.position();
  }

  private void readSignatures(Fields all) throws ReleaseException {
    Map<String, Boolean> seen = new HashMap<String, Boolean>();
    for (Fields each : all.objects("signatures")) {
      String key = each.only("keyid", "sig").text("keyid", Fields.ANY);
      String signature = each.text("sig", Fields.ANY);
      if (seen.put(key, true) != null) {
        throw all.problem("signatures", "a list with one signature of each key");
      }
      if (SIGNATURE.matcher(signature).matches()) {
        signatures.put(key, Hexadecimal.bytes(signature));
      }
    }
  }

  void requireNotExpired(long now) throws ReleaseException {
    if (now >= expires) {
      throw new ReleaseException.Expired(
          role + ".json: it expired at " + expires + " (seconds since 1970) and it is " + now + "; set the clock, or ask a mirror that is up to date");
    }
  }

  private long seconds(String time) throws ReleaseException {
    GregorianCalendar calendar = new GregorianCalendar(TimeZone.getTimeZone("UTC"), Locale.ROOT);
    calendar.setLenient(false);
    calendar.clear();
    calendar.set(part(time, 0, 4), part(time, 5, 7) - 1, part(time, 8, 10), part(time, 11, 13), part(time, 14, 16), part(time, 17, 19));
    try {
      return calendar.getTimeInMillis() / 1000;
    } catch (IllegalArgumentException impossible) {
      throw fields.problem("expires", "a time that there is");
    }
  }

  private static int part(String time, int from, int to) {
    return Integer.parseInt(time.substring(from, to));
  }

  /** What a file says of the one below it. */
  final class Below {
    final String role;
    final long version;
    private final long length;
    private final String sha256;

    private Below(String role) throws ReleaseException {
      Fields about = fields.object("meta").only(role + ".json").object(role + ".json");
      this.role = role;
      this.version = about.whole("version", 1, CanonicalJson.LARGEST);
      this.length = about.whole("length", 0, CanonicalJson.LARGEST);
      this.sha256 = about.sha256();
    }

    String path() {
      return "metadata/" + version + "." + role + ".json";
    }

    /** Its bytes, of which there may be so many. */
    int length(int most) throws ReleaseException {
      if (length > most) {
        throw new ReleaseException.WrongLength(role + ".json: it would have " + length + " bytes, and " + most + " are allowed; publish a shorter one");
      }
      return (int) length;
    }

    boolean is(byte[] data) {
      return data.length == length && Hexadecimal.sha256(data).equals(sha256);
    }

    /** Holds a file against it, before it is read. */
    void require(byte[] data) throws ReleaseException {
      if (data.length != length) {
        throw new ReleaseException.WrongLength(role + ".json: it has " + data.length + " bytes and not " + length + ", as was signed; ask another mirror");
      }
      if (!is(data)) {
        throw new ReleaseException.WrongHash(role + ".json: its hash is not the one that was signed; ask another mirror");
      }
    }
  }
}
