namespace MicroVm.Virtio.VhostUser;

/// <summary>A device hears of its backend. Called on the keeper's thread.</summary>
internal interface IBackendObserver
{
    /// <summary>The backend's configuration space was read.</summary>
    void OnConfig(ReadOnlySpan<byte> config);

    /// <summary>A backend serves the device, or none does for now.</summary>
    void OnBackend(bool present);
}
