using MicroVm.Devices;

namespace MicroVm.Hotplug;

/// <summary>What the guest's <c>_OST</c> means, in words (ACPI 6.5, 6.3.5).</summary>
internal static class GuestAnswer
{
    /// <summary>It has not decided yet.</summary>
    internal static bool IsPending(bool insertion, uint outcome) => outcome == (insertion ? (uint)AcpiInsertionOutcome.InProgress : (uint)AcpiEjectOutcome.InProgress);

    /// <summary>Words for an outcome that is no success.</summary>
    internal static string Text(bool insertion, uint outcome) => (insertion, outcome) switch
    {
        (_, (uint)AcpiOutcome.Failure) => "it failed",
        (_, (uint)AcpiOutcome.NotRecognized) => "it does not know the notification",
        (true, (uint)AcpiInsertionOutcome.NoDriver) => "its driver did not load",
        (true, (uint)AcpiInsertionOutcome.NotSupported) => "it takes no such device in while it runs",
        (false, (uint)AcpiEjectOutcome.NotSupported) => "it does not eject this device",
        (false, (uint)AcpiEjectOutcome.InUse) => "an application uses it",
        (false, (uint)AcpiEjectOutcome.Busy) => "the device is busy",
        (false, (uint)AcpiEjectOutcome.DependencyBusy) => "something that depends on it is busy or cannot be ejected",
        _ => "for a reason that ACPI does not name",
    };
}
