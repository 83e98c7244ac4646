//! A throwaway dom0 made of namespaces over an overlay of the root file system.
