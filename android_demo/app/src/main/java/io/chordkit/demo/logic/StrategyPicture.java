package io.chordkit.demo.logic;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** A strategy layer by layer, after the channel table of a bundle's manifest. */
public final class StrategyPicture {
  /** What a channel may have, most first; 0 = off. */
  public static final int[] WIDTHS = {8, 4, 2, 0};

  private static final int MOST_LAYERS = 10000;

  public final List<LayerStrip> layers;

  private final double averageBits;

  private StrategyPicture(List<LayerStrip> layers, double averageBits) {
    this.layers = Collections.unmodifiableList(layers);
    this.averageBits = averageBits;
  }

  /**
   * @param manifest of a verified bundle, as it stands in the file
   * @param widths of its strategy, checked by its engine: 0, 2, 4 or 8 for each channel
   * @throws DemoException the channel table is not one, or is of other channels
   */
  public static StrategyPicture of(ByteBuffer manifest, byte[] widths) throws DemoException {
    try {
      JSONObject all = new JSONObject(StandardCharsets.UTF_8.decode(manifest.duplicate()).toString());
      JSONArray table = all.getJSONObject("backbone").getJSONArray("channels");
      if (table.length() == 0 || table.length() > MOST_LAYERS) {
        throw refused(table.length() + " layers are not 1 to " + MOST_LAYERS);
      }
      return of(table, widths);
    } catch (JSONException | StackOverflowError wrong) {
      throw refused(String.valueOf(wrong.getMessage()));
    }
  }

  private static StrategyPicture of(JSONArray table, byte[] widths) throws JSONException, DemoException {
    List<LayerStrip> layers = new ArrayList<LayerStrip>();
    int offset = 0;
    double weights = 0;
    double bits = 0;
    for (int i = 0; i < table.length(); i++) {
      JSONObject layer = table.getJSONObject(i);
      int channels = layer.getInt("out_channels");
      int features = layer.getInt("in_features");
      if (channels < 1 || features < 1 || layer.getInt("offset") != offset || channels > widths.length - offset) {
        throw refused("layer " + i + " does not follow the one before, or is not in the strategy");
      }
      LayerStrip strip = new LayerStrip(layer.getString("name"), widths, offset, channels);
      layers.add(strip);
      weights += (double) channels * features;
      for (int width : WIDTHS) {
        bits += strip.share(width) * channels * features * width;
      }
      offset += channels;
    }
    if (offset != widths.length) {
      throw refused("its layers have " + offset + " channels and the strategy " + widths.length);
    }
    return new StrategyPicture(layers, bits / weights);
  }

  /** Mean bits of a weight, channels that are off included. */
  public double averageBits() {
    return averageBits;
  }

  /** What part of all channels has so many bits, 0 to 1. */
  public double share(int width) {
    double count = 0;
    int channels = 0;
    for (LayerStrip layer : layers) {
      count += layer.share(width) * layer.channels;
      channels += layer.channels;
    }
    return count / channels;
  }

  private static DemoException refused(String why) {
    return new DemoException("manifest.json: backbone.channels: " + why + "; make the bundle anew");
  }
}
