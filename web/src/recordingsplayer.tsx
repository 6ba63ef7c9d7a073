import Button from '@cloudscape-design/components/button';
import Select from '@cloudscape-design/components/select';
import Slider from '@cloudscape-design/components/slider';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Toggle from '@cloudscape-design/components/toggle';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useApp } from './context';
import { type Cast, clock } from './recordingscast';
import { Screen } from './recordingsscreen';

const speeds = [0.5, 1, 2, 4, 8, 16];
/** A pause longer than this is skipped, in seconds; so much of it is shown. */
const longPause = 2;
const shownPause = 1;

/** Plays a recording; wanted is where its reader wants to be, and how often that was said. */
export function Player({ cast, wanted }: { cast: Cast; wanted: { at: number; turn: number } }) {
  const { t } = useApp();
  const place = useRef<HTMLDivElement>(null);
  const screen = useRef<Screen>(null);
  const next = useRef(0); // the first event that is not shown
  const at = useRef(0);
  const [shownAt, setShownAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const [skip, setSkip] = useState(true);
  const length = cast.events.at(-1)?.at ?? 0;

  const show = useCallback(
    (to: number) => {
      const { events } = cast;
      if (to < at.current) {
        screen.current?.clear();
        next.current = 0;
      }
      at.current = to;
      const from = next.current;
      while (next.current < events.length && events[next.current]!.at <= to) next.current++;
      if (next.current > from) screen.current?.show(events.slice(from, next.current));
      setShownAt(Math.round(to * 10) / 10); // what is the same is not drawn again
    },
    [cast],
  );

  useEffect(() => {
    const made = new Screen(place.current!, t('rec.screen'), cast.width, cast.height);
    screen.current = made;
    next.current = 0;
    at.current = 0;
    return () => made.dispose();
    // A change of language must not begin anew.
  }, [cast]);
  useEffect(() => {
    show(Math.min(wanted.at, length));
  }, [wanted, length, show]);

  useEffect(() => {
    if (!playing) return;
    let frame = 0;
    let before = performance.now();
    const step = (now: number) => {
      let to = at.current + ((now - before) / 1000) * speed;
      before = now;
      const last = cast.events[next.current - 1]?.at ?? 0;
      const coming = cast.events[next.current]?.at ?? length;
      if (skip && coming - last > longPause && to - last > shownPause && to < coming) to = coming;
      show(Math.min(to, length));
      if (to >= length) setPlaying(false);
      else frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
    return () => cancelAnimationFrame(frame);
  }, [playing, speed, skip, cast, length, show]);

  const options = speeds.map((s) => ({ value: String(s), label: t('rec.speed.of', { speed: s }) }));
  return (
    <SpaceBetween size="s">
      <div className="recording-screen" ref={place} data-testid="recording" />
      <div className="recording-bar">
        <Button
          variant="primary"
          onClick={() => {
            if (!playing && at.current >= length) show(0);
            setPlaying(!playing);
          }}
        >
          {t(playing ? 'rec.pause' : 'rec.play')}
        </Button>
        <div className="recording-scrub">
          <Slider
            ariaLabel={t('rec.position')}
            value={Math.min(shownAt, Math.max(length, 0.1))}
            min={0}
            max={Math.max(Math.ceil(length * 10) / 10, 0.1)}
            step={0.1}
            hideFillLine={false}
            valueFormatter={clock}
            onChange={({ detail }) => show(detail.value)}
          />
        </div>
        <span data-testid="position">
          {clock(shownAt)} / {clock(length)}
        </span>
        <Select
          ariaLabel={t('rec.speed')}
          options={options}
          selectedOption={options.find((o) => o.value === String(speed)) ?? null}
          onChange={({ detail }) => setSpeed(Number(detail.selectedOption.value))}
        />
        <Toggle checked={skip} onChange={({ detail }) => setSkip(detail.checked)}>
          {t('rec.skip')}
        </Toggle>
      </div>
    </SpaceBetween>
  );
}
