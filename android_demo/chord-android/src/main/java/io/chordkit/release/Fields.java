package io.chordkit.release;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** An object of a signed file, whose fields are of the kind and in the range that is asked for, or refused by their name. */
final class Fields {
  static final Pattern ANY = Pattern.compile("(?s).*");
  static final Pattern DIGEST = Pattern.compile("[0-9a-f]{64}");
  static final Pattern IDENTIFIER = Pattern.compile("[0-9a-f]{16}");

  /** An object without fields. */
  static final Fields NONE = new Fields(Collections.emptyMap(), "");

  private final Map<?, ?> fields;
  private final String where;

  private Fields(Map<?, ?> fields, String where) {
    this.fields = fields;
    this.where = where;
  }

  static Fields of(Object value, String where) throws ReleaseException {
    if (!(value instanceof Map)) {
      throw new ReleaseException.Malformed(where + ": it is not an object; ask a mirror of the channel");
    }
    return new Fields((Map<?, ?>) value, where);
  }

  /** No field but these. */
  Fields only(String... known) throws ReleaseException {
    for (Object name : fields.keySet()) {
      if (!Arrays.asList(known).contains(name)) {
        throw problem(String.valueOf(name), "a field that this library knows");
      }
    }
    return this;
  }

  boolean has(String name) {
    return fields.containsKey(name);
  }

  String[] names() {
    return fields.keySet().toArray(new String[0]);
  }

  Fields object(String name) throws ReleaseException {
    return of(fields.get(name), where + ": " + name);
  }

  List<?> list(String name) throws ReleaseException {
    Object value = fields.get(name);
    if (!(value instanceof List)) {
      throw problem(name, "a list");
    }
    return (List<?>) value;
  }

  /** The elements of a list, each of them an object. */
  Fields[] objects(String name) throws ReleaseException {
    List<?> list = list(name);
    Fields[] all = new Fields[list.size()];
    for (int i = 0; i < all.length; i++) {
      all[i] = of(list.get(i), where + ": " + name);
    }
    return all;
  }

  String text(String name, Pattern form) throws ReleaseException {
    return text(fields.get(name), name, form);
  }

  /** The elements of a list, each of them a text of this form, none twice. */
  String[] texts(String name, Pattern form) throws ReleaseException {
    List<?> list = list(name);
    String[] all = new String[list.size()];
    for (int i = 0; i < all.length; i++) {
      all[i] = text(list.get(i), name, form);
      if (Arrays.asList(all).indexOf(all[i]) < i) {
        throw problem(name, "a list without repetitions");
      }
    }
    return all;
  }

  private String text(Object value, String name, Pattern form) throws ReleaseException {
    if (!(value instanceof String) || !form.matcher((String) value).matches()) {
      throw problem(name, "a text of the form " + form);
    }
    return (String) value;
  }

  long whole(String name, long lowest, long highest) throws ReleaseException {
    Object value = fields.get(name);
    if (!(value instanceof Long) || (Long) value < lowest || (Long) value > highest) {
      throw problem(name, "a whole number of " + lowest + " to " + highest);
    }
    return (Long) value;
  }

  boolean flag(String name) throws ReleaseException {
    Object value = fields.get(name);
    if (!(value instanceof Boolean)) {
      throw problem(name, "true or false");
    }
    return (Boolean) value;
  }

  /** The digits of a SHA-256, the only one of {@code hashes}. */
  String sha256() throws ReleaseException {
    return object("hashes").only("sha256").text("sha256", DIGEST);
  }

  ReleaseException problem(String name, String wanted) {
    return new ReleaseException.Malformed(where + ": " + name + " is not " + wanted + "; ask a mirror of the channel, or update the app");
  }
}
