package io.chordkit.demo;

import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import io.chordkit.Items;
import io.chordkit.Personalisation;
import io.chordkit.demo.logic.LayerStrip;
import io.chordkit.demo.logic.Learned;
import io.chordkit.demo.logic.RankedItem;
import io.chordkit.demo.logic.StrategyPicture;
import io.chordkit.demo.logic.Words;
import java.util.List;

/** Fills the lists of a screen with rows. */
final class Rows {
  private final LayoutInflater inflater;
  private final Texts texts;

  Rows(LayoutInflater inflater, Texts texts) {
    this.inflater = inflater;
    this.texts = texts;
  }

  /** A name and a value, which is read as it stands. */
  void fact(ViewGroup list, int name, String value) {
    fact(list, texts.of(name), value, value);
  }

  void fact(ViewGroup list, String name, String value) {
    fact(list, name, value, value);
  }

  /**
   * @param said the value for ears
   */
  void fact(ViewGroup list, String name, String value, String said) {
    View row = added(list, R.layout.row_fact);
    text(row, R.id.fact_name).setText(name);
    text(row, R.id.fact_value).setText(value);
    row.setContentDescription(texts.of(R.string.fact_said, name, said));
  }

  /** Microseconds. */
  void time(ViewGroup list, int name, double microseconds) {
    fact(list, texts.of(name), texts.microseconds(microseconds), texts.microsecondsSaid(microseconds));
  }

  /** The latest first. */
  void recent(ViewGroup list, Items items, List<String> history, int most) {
    list.removeAllViews();
    for (int i = history.size() - 1; i >= Math.max(0, history.size() - most); i--) {
      ((TextView) added(list, R.layout.row_recent)).setText(texts.titleAndGroup(items, history.get(i)));
    }
  }

  void ranked(ViewGroup list, Items items, List<RankedItem> ranked, int most) {
    list.removeAllViews();
    for (RankedItem item : ranked.subList(0, Math.min(most, ranked.size()))) {
      Words words = Words.of(items, item.id);
      View row = added(list, R.layout.row_ranked);
      text(row, R.id.rank).setText(texts.numbers.whole(item.rank));
      text(row, R.id.item_title).setText(texts.title(words, item.id));
      text(row, R.id.item_group).setText(words.group);
      show(row.findViewById(R.id.item_group), !words.group.isEmpty());
      show(row.findViewById(R.id.taken), item.taken);
      TextView rise = text(row, R.id.rise);
      rise.setText(texts.rise(item));
      int color = item.rise() == 0 ? R.color.text_secondary : item.rise() > 0 ? R.color.rise : R.color.fall;
      rise.setTextColor(row.getContext().getColor(color));
      row.setContentDescription(texts.said(items, item));
    }
  }

  /** What came of learning, and what it moves. */
  void learned(ViewGroup list, Learned learned) {
    Personalisation last = learned.last;
    if (last != null) {
      fact(list, R.string.learned_own, texts.numbers.whole(last.own()));
      fact(list, R.string.learned_outside, texts.outside(last));
      if (last.hadEnough()) {
        fact(list, R.string.learned_gain, texts.gain(last));
      }
      fact(list, texts.of(R.string.learned_time), texts.milliseconds(last), texts.millisecondsSaid(last));
    }
    if (learned.inUse) {
      fact(list, R.string.learned_place, texts.places(learned.change));
    }
  }

  void legend(ViewGroup list, StrategyPicture picture) {
    list.removeAllViews();
    for (int bits : StrategyPicture.WIDTHS) {
      View row = added(list, R.layout.row_legend);
      ((StripView) row.findViewById(R.id.legend_swatch)).show(new LayerStrip("", new byte[] {(byte) bits}, 0, 1));
      text(row, R.id.legend_words).setText(texts.share(bits, picture.share(bits)));
    }
  }

  void layers(ViewGroup list, StrategyPicture picture) {
    list.removeAllViews();
    for (LayerStrip layer : picture.layers) {
      View row = added(list, R.layout.row_layer);
      text(row, R.id.layer_name).setText(layer.name);
      ((StripView) row.findViewById(R.id.layer_strip)).show(layer);
      row.setContentDescription(texts.said(layer));
    }
  }

  static void show(View view, boolean visible) {
    view.setVisibility(visible ? View.VISIBLE : View.GONE);
  }

  private View added(ViewGroup list, int layout) {
    View row = inflater.inflate(layout, list, false);
    list.addView(row);
    return row;
  }

  private static TextView text(View row, int id) {
    return (TextView) row.findViewById(id);
  }
}
