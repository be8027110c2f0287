package io.chordkit.demo.logic;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** {@code demo_users.json}, which `chordkit demo` leaves beside its bundle: people, and what is reranked for them. */
public final class DemoUsers {
  /** Subject of the envelope that is for everybody. */
  public static final String EVERYBODY = "everybody";

  /** No larger file is read. */
  public static final int MOST_BYTES = 200000;

  private static final String FORMAT = "chordkit.demo_users";
  private static final int VERSION = 2; // 1 had words for items too, which are in the bundle since; it is read without them
  private static final int MOST_USERS = 100;
  private static final int MOST_ITEMS = 1000;
  private static final int LONGEST_TEXT = 200;
  private static final int LONGEST_BASE64 = 65536;
  private static final int LONGEST_SUBJECT = 24;

  /** Name of the data set. */
  public final String data;

  /** At least one. */
  public final List<DemoUser> users;

  private final byte[] fingerprint;
  private final byte[] shared;

  private DemoUsers(String data, byte[] fingerprint, byte[] shared, List<DemoUser> users) {
    this.data = data;
    this.fingerprint = fingerprint;
    this.shared = shared;
    this.users = Collections.unmodifiableList(users);
  }

  /**
   * Reads the file, or refuses it with one sentence.
   *
   * @throws DemoException it is larger than 200 kB, is not what its name says, or holds more than anybody looks at
   */
  public static DemoUsers parse(byte[] bytes) throws DemoException {
    if (bytes.length > MOST_BYTES) {
      throw refused("it is larger than " + MOST_BYTES + " bytes");
    }
    try {
      JSONObject all = new JSONObject(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString());
      if (!FORMAT.equals(all.opt("format")) || !isKnown(all.opt("version"))) {
        throw refused("format and version are not " + FORMAT + " and " + VERSION);
      }
      String fingerprint = text(all, "fingerprint", 16);
      if (!fingerprint.matches("[0-9a-f]{16}")) {
        throw refused("fingerprint is not 16 hexadecimal digits");
      }
      List<DemoUser> users = users(all.getJSONArray("users"));
      return new DemoUsers(text(all, "data", LONGEST_TEXT), Hexadecimal.parse(fingerprint), base64(all, "shared"), users);
    } catch (CharacterCodingException notUtf8) {
      throw refused("it is not UTF-8");
    } catch (JSONException wrong) {
      throw refused(String.valueOf(wrong.getMessage()));
    } catch (StackOverflowError deep) {
      throw refused("it is nested too deep");
    }
  }

  private static boolean isKnown(Object version) {
    return Integer.valueOf(1).equals(version) || Integer.valueOf(VERSION).equals(version);
  }

  /** The 8 bytes of the backbone that the strategies are for. */
  public byte[] fingerprint() {
    return fingerprint.clone();
  }

  /** One strategy for everybody on that backbone, in a signed envelope (CHRE). */
  public byte[] shared() {
    return shared.clone();
  }

  private static List<DemoUser> users(JSONArray list) throws JSONException, DemoException {
    if (list.length() == 0 || list.length() > MOST_USERS) {
      throw refused("users: " + list.length() + " are not 1 to " + MOST_USERS);
    }
    List<DemoUser> users = new ArrayList<DemoUser>();
    for (int i = 0; i < list.length(); i++) {
      JSONObject each = list.getJSONObject(i);
      List<String> candidates = ids(each, "candidates");
      String taken = text(each, "taken", LONGEST_TEXT);
      if (!candidates.contains(taken)) {
        throw refused("users: taken is not among candidates");
      }
      String name = text(each, "name", LONGEST_TEXT);
      String subject = text(each, "subject", LONGEST_SUBJECT);
      byte[] samples = each.isNull("samples") ? null : base64(each, "samples");
      users.add(new DemoUser(name, subject, ids(each, "history"), candidates, taken, base64(each, "envelope"), samples));
    }
    Set<String> subjects = new HashSet<String>();
    for (DemoUser user : users) {
      if (user.subject.equals(EVERYBODY) || !subjects.add(user.subject)) {
        throw refused("users: subject " + user.subject + " occurs twice");
      }
    }
    return users;
  }

  /** At least one, at most 1,000, and candidates all different. */
  private static List<String> ids(JSONObject user, String field) throws JSONException, DemoException {
    JSONArray list = user.getJSONArray(field);
    if (list.length() == 0 || list.length() > MOST_ITEMS) {
      throw refused("users: " + field + ": " + list.length() + " items are not 1 to " + MOST_ITEMS);
    }
    List<String> ids = new ArrayList<String>();
    for (int i = 0; i < list.length(); i++) {
      Object each = list.get(i);
      if (!(each instanceof String) || ((String) each).isEmpty()) {
        throw refused("users: " + field + " is not a list of ids");
      }
      ids.add((String) each);
    }
    if (field.equals("candidates") && new HashSet<String>(ids).size() < ids.size()) {
      throw refused("users: candidates: an id occurs twice");
    }
    return Collections.unmodifiableList(ids);
  }

  private static String text(JSONObject object, String field, int longest) throws DemoException {
    Object value = object.opt(field);
    if (!(value instanceof String) || ((String) value).isEmpty() || ((String) value).length() > longest) {
      throw refused(field + " is not a text of 1 to " + longest + " characters");
    }
    return (String) value;
  }

  private static byte[] base64(JSONObject object, String field) throws DemoException {
    try {
      byte[] bytes = Base64.getDecoder().decode(text(object, field, LONGEST_BASE64));
      if (bytes.length > 0) {
        return bytes;
      }
    } catch (IllegalArgumentException notBase64) {
      // said below
    }
    throw refused(field + " is not base64");
  }

  private static DemoException refused(String why) {
    return new DemoException("demo_users.json: " + why + "; make it again with `chordkit demo`");
  }
}
