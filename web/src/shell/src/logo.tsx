/** An anvil with sparks. */
export const Logo = ({ size = 22 }: { size?: number }) => (
  <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden className="shrink-0">
    <rect width="32" height="32" rx="7" className="fill-accent-soft" />
    <path d="M7 11h12c0 2 1.600 3.400 4 3.600V17c-3 .2-5 1.500-5.600 3.600L19 24H9l1.600-3.400C9.900 18.700 8.600 17.900 7 17.600Z" className="fill-accent" />
    <path d="M21 8.500 24.500 6M23.500 10.500l3.500-.5" strokeWidth="1.6" strokeLinecap="round" className="stroke-accent" />
  </svg>
);
