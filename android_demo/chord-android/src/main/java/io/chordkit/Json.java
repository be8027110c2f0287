package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The platform's JSON without its leniency: a text is no number, nothing is converted, and what is missing is named. */
final class Json {
  private final JSONObject object;
  private final String where;

  private Json(JSONObject object, String where) {
    this.object = object;
    this.where = where;
  }

  /**
   * @param where begins every sentence: the member
   */
  static Json parse(ByteBuffer utf8, String where) throws BundleException {
    try {
      return new Json(new JSONObject(decoded(utf8)), where);
    } catch (CharacterCodingException notUtf8) {
      throw new BundleException(where + " is not UTF-8; make the bundle anew");
    } catch (JSONException | StackOverflowError notJson) {
      throw new BundleException(where + " is not one JSON object; make the bundle anew");
    }
  }

  static String decoded(ByteBuffer utf8) throws CharacterCodingException {
    return StandardCharsets.UTF_8
        .newDecoder()
        .onMalformedInput(CodingErrorAction.REPORT)
        .onUnmappableCharacter(CodingErrorAction.REPORT)
        .decode(utf8.duplicate())
        .toString();
  }

  boolean has(String field) {
    return object.has(field);
  }

  String text(String field) throws BundleException {
    return ofType(field, String.class, "a text");
  }

  @Nullable
  String textOrNull(String field) throws BundleException {
    return isNull(field) ? null : text(field);
  }

  boolean flag(String field, boolean missing) throws BundleException {
    return object.has(field) ? ofType(field, Boolean.class, "true or false") : missing;
  }

  double number(String field) throws BundleException {
    double value = ofType(field, Number.class, "a number").doubleValue();
    if (Double.isNaN(value) || Double.isInfinite(value)) {
      throw problem(field, "a finite number");
    }
    return value;
  }

  /** A whole number of 0 to 2^53. */
  long count(String field) throws BundleException {
    double value = number(field);
    if (value < 0 || value > 9007199254740992.0 || value != Math.rint(value)) {
      throw problem(field, "a whole number");
    }
    return (long) value;
  }

  Json object(String field) throws BundleException {
    return new Json(ofType(field, JSONObject.class, "an object"), where + ": " + field);
  }

  @Nullable
  Json objectOrNull(String field) throws BundleException {
    return isNull(field) ? null : object(field);
  }

  Json[] objects(String field) throws BundleException {
    JSONArray list = ofType(field, JSONArray.class, "a list");
    Json[] all = new Json[list.length()];
    for (int i = 0; i < all.length; i++) {
      Object each = list.opt(i);
      if (!(each instanceof JSONObject)) {
        throw problem(field, "a list of objects");
      }
      all[i] = new Json((JSONObject) each, where + ": " + field);
    }
    return all;
  }

  /** Whole numbers, of 0 to 2^53. */
  long[] counts(String field) throws BundleException {
    JSONArray list = ofType(field, JSONArray.class, "a list");
    long[] all = new long[list.length()];
    for (int i = 0; i < all.length; i++) {
      Object each = list.opt(i);
      if (!(each instanceof Integer || each instanceof Long) || ((Number) each).longValue() < 0) {
        throw problem(field, "a list of whole numbers");
      }
      all[i] = ((Number) each).longValue();
    }
    return all;
  }

  String[] fields() {
    JSONArray names = object.names();
    String[] all = new String[names == null ? 0 : names.length()];
    for (int i = 0; i < all.length; i++) {
      all[i] = names.optString(i);
    }
    return all;
  }

  BundleException problem(String field, String wanted) {
    return new BundleException(where + ": " + field + " is not " + wanted + "; make the bundle anew");
  }

  private boolean isNull(String field) {
    return object.isNull(field);
  }

  private <T> T ofType(String field, Class<T> type, String wanted) throws BundleException {
    Object value = object.opt(field);
    if (!type.isInstance(value)) {
      throw problem(field, wanted);
    }
    return type.cast(value);
  }
}
