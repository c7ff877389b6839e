namespace MicroVm.Kvm;

/// <summary>Where interrupts go, as the router changes it.</summary>
/// <remarks>In a machine it is <see cref="KvmVm"/>, and each member a system call; tests of what a guest does to its
/// vectors have one of their own.</remarks>
internal interface IInterruptRoutes
{
    /// <inheritdoc cref="KvmVm.SetRoutes"/>
    void SetRoutes(RouteTable routes);

    /// <inheritdoc cref="KvmVm.ConnectIrqFd"/>
    void ConnectIrqFd(int eventFd, uint gsi);

    /// <inheritdoc cref="KvmVm.DisconnectIrqFd"/>
    void DisconnectIrqFd(int eventFd, uint gsi);
}
