import { defineConfig } from 'vite';

// The server embeds what is built (internal/console/assets.go).
export default defineConfig({
  base: '/',
  plugins: [
    {
      // Open Sans is 140 kB of base64 that no gzip makes smaller; the style sheet names the
      // system's fonts after it.
      name: 'system-fonts',
      enforce: 'pre',
      transform(code, id) {
        if (!id.includes('@cloudscape-design/global-styles')) return;
        return code.replace(/@font-face\s*\{[^}]*\}/g, '');
      },
    },
  ],
  build: {
    outDir: '../internal/console/dist/app',
    emptyOutDir: true,
    target: 'es2022',
    // Inlined files would need data: in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      // Libraries mark their files for servers that render React; there is none here.
      onwarn(warning, warn) {
        if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') warn(warning);
      },
    },
  },
});
