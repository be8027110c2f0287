package io.chordkit.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.util.AttributeSet;
import android.view.View;
import io.chordkit.annotation.Nullable;
import io.chordkit.demo.logic.LayerStrip;

/**
 * The channels of a layer, from the side where reading starts: a piece for each run of one width. Its height is in proportion to the bits,
 * so that nothing hangs on colours; channels that are off are a line at the bottom. What it shows in words is its row's to say.
 */
public final class StripView extends View {
  private static final float MOST_BITS = 8;
  private static final float LINE = 1.5f;

  private final Paint paint = new Paint();
  private final float line;
  @Nullable private LayerStrip strip;

  public StripView(Context context, @Nullable AttributeSet attributes) {
    super(context, attributes);
    line = LINE * getResources().getDisplayMetrics().density;
  }

  public void show(LayerStrip strip) {
    this.strip = strip;
    invalidate();
  }

  @Override
  protected void onDraw(Canvas canvas) {
    LayerStrip shown = strip;
    if (shown == null) {
      return;
    }
    boolean mirrored = getLayoutDirection() == LAYOUT_DIRECTION_RTL;
    float scale = (float) getWidth() / shown.channels;
    int channel = 0;
    for (int run = 0; run < shown.runs(); run++) {
      int width = shown.width(run);
      float start = channel * scale;
      channel += shown.length(run);
      float end = channel * scale;
      float height = width == 0 ? line : getHeight() * width / MOST_BITS;
      paint.setColor(getContext().getColor(colorOf(width)));
      canvas.drawRect(
          mirrored ? getWidth() - end : start, getHeight() - height, mirrored ? getWidth() - start : end, getHeight(), paint);
    }
  }

  private static int colorOf(int width) {
    if (width == 0) {
      return R.color.bits_off;
    }
    return width == 2 ? R.color.bits_2 : width == 4 ? R.color.bits_4 : R.color.bits_8;
  }
}
