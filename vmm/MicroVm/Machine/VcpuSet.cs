namespace MicroVm;

/// <summary>The vCPUs of a machine: those that run, and those that may. KVM cannot take one back, so one that goes is parked until it comes again.</summary>
/// <param name="make">Makes one, ready to wait for its start-up message.</param>
/// <remarks>Changes come one at a time, from a thread that is no vCPU's. <see cref="Made"/> may be read from any thread.</remarks>
internal sealed class VcpuSet(Func<int, Vcpu> make)
{
    private volatile Vcpu[] _made = [];

    /// <summary>All that have been made, the parked ones too, by their ids; swapped whole.</summary>
    internal Vcpu[] Made => _made;

    /// <summary>Makes the next one; nobody runs it yet.</summary>
    internal Vcpu Make()
    {
        Vcpu made = make(_made.Length);
        _made = [.. _made, made];
        return made;
    }

    /// <summary>Runs one that was parked, or a new one, on a thread of its own: it waits for the guest's start-up message.</summary>
    /// <exception cref="MicroVmException">The host gives no vCPU or no thread.</exception>
    internal void Start(int id)
    {
        while (_made.Length <= id) Make().Park();
        _made[id].Unpark();
    }

    /// <summary>Takes one out of the guest for good, and leaves it as after power-on. Not on its own thread.</summary>
    internal void Park(int id) => _made[id].Park();
}
